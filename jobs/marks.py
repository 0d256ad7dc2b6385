"""What people mark jobs with: tags, which all of an organization see, and a person's stars. Django finds the models by
way of jobs.models.

Each mark is a row whose primary key is a list in the order of the jobs' age.
"""

from __future__ import annotations

from django.db import models

from accounts.models import Organization, User


class JobTag(models.Model):
    """A tag of a job, once more in a table of its own: an inverted index over the arrays would keep no order, and a tag
    of a million jobs would be sorted for every page.
    """

    organization = models.ForeignKey(Organization, models.PROTECT, related_name="+", db_index=False)
    tag = models.CharField(max_length=64)
    job = models.ForeignKey("Job", models.CASCADE, related_name="marks", db_index=False)
    pk = models.CompositePrimaryKey("organization", "tag", "job")

    def __str__(self) -> str:
        return self.tag


class Favourite(models.Model):
    """A person's star on a job of one of their organizations."""

    organization = models.ForeignKey(Organization, models.CASCADE, related_name="+", db_index=False)
    user = models.ForeignKey(User, models.CASCADE, related_name="+", db_index=False)
    job = models.ForeignKey("Job", models.CASCADE, related_name="stars", db_index=False)
    pk = models.CompositePrimaryKey("organization", "user", "job")

    def __str__(self) -> str:
        return f"{self.job_id} of {self.user_id}"
