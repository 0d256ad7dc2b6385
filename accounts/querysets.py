"""The one base of every tenant-owned model's QuerySet; import it from accounts.tenancy."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Self, TypeVar

from django.db import models

if TYPE_CHECKING:
    from accounts.models import Organization

Row_co = TypeVar("Row_co", bound=models.Model, covariant=True)


class OrgQuerySet(models.QuerySet[Row_co]):
    """`Model.objects.for_org(organization)` is the only door to a tenant's rows.

    A model without its own `organization` column names the way to it: org_path = "job__organization".
    """

    org_path: ClassVar[str] = "organization"

    def for_org(self, organization: Organization) -> Self:
        return self.filter(**{self.org_path: organization})
