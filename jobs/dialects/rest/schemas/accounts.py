"""The organization's own accounts at providers."""

from __future__ import annotations

from jobs.dialects.rest.schemas.parts import (
    FLAG,
    TIME,
    answer,
    component,
    const,
    listed,
    nullable,
    request,
    text,
    whole,
)
from jobs.own_keys import MOST_LETTERS, NAME_LETTERS

ACCOUNT = component(
    "ProviderAccount",
    answer(
        "Your own account at a provider. Its key is never shown.",
        id=whole(1, 2**63 - 1),
        object=const("provider_account"),
        provider=text(32),
        name=text(NAME_LETTERS),
        region=nullable(text(40)),
        created_at=TIME,
    ),
)
ACCOUNTS = answer(
    data=listed(ACCOUNT),
    providers=listed(text(32), description="At which you may have one."),
)
NEW = component(
    "NewProviderAccount",
    request(
        required=["provider", "key"],
        provider=text(32, 1, description="One of `providers` in the list of accounts."),
        key=text(MOST_LETTERS, 1, description="The provider's API key. It is kept sealed."),
        name=text(NAME_LETTERS, description="The provider's name if left out."),
        region=text(40, description="Only where the provider has several."),
    ),
)
CHECKED = component(
    "ProviderAccountCheck",
    answer(
        object=const("provider_account_check"),
        accepted={**FLAG, "description": "Whether the provider takes the key."},
        message=text(200, description="What to do where it does not; else empty."),
    ),
)
