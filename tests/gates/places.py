"""Which pages there are, who looks at each, and which addresses are no pages. The gate holds it against the URL map."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from config.docs.pages import SECTIONS

STRANGER, OWNER, NEWCOMER, OPERATOR = "stranger", "owner", "newcomer", "operator"
CAREFUL = "careful"  # signs in with a second factor
JOBS = ("succeeded", "failed", "running", "queued", "canceled")
MODELS = ("wan-2.2-s2v", "wan-2.2-animate", "emo-v1", "portrait-preview")
DOCS = [page.address for pages in SECTIONS.values() for page in pages]

# route: who looks at which addresses; {names} are the furnished world's.
PAGES: dict[str, dict[str, list[str]]] = {
    "": {STRANGER: ["/"]},  # it sends its own people to the studio
    "pricing": {STRANGER: ["/pricing"]},
    "status": {STRANGER: ["/status"]},
    "docs": {STRANGER: ["/docs"]},
    "docs/api": {STRANGER: ["/docs/api"]},
    "docs/<slug:slug>": {STRANGER: [page for page in DOCS if page not in {"/docs", "/docs/api"}]},
    "docs/api/<slug:group>": {STRANGER: ["/docs/api/jobs"]},
    "docs/<path:path>": {STRANGER: ["/docs/no/such"]},
    "s/<str:token>": {STRANGER: ["/s/{share}", "/s/{locked}", "/s/{over}"]},
    "invitations/<str:token>": {STRANGER: ["/invitations/{invitation}", "/invitations/none"]},
    "gallery": {OWNER: ["/gallery"], NEWCOMER: ["/gallery"]},
    "studio": {OWNER: ["/studio"]},
    "studio/<str:slug>": {OWNER: [f"/studio/{slug}" for slug in MODELS], NEWCOMER: ["/studio/wan-2.2-s2v"]},
    "jobs": {OWNER: ["/jobs"], NEWCOMER: ["/jobs"]},
    "jobs/<uuid:job_id>": {OWNER: [f"/jobs/{{{name}}}" for name in JOBS]},
    "jobs/<uuid:job_id>/again": {OWNER: ["/jobs/{succeeded}/again"]},
    "keys": {OWNER: ["/keys"], NEWCOMER: ["/keys"]},
    "keys/<uuid:key_id>": {OWNER: ["/keys/{key}"]},
    "webhooks": {OWNER: ["/webhooks"], NEWCOMER: ["/webhooks"]},
    "webhooks/<uuid:endpoint_id>": {OWNER: ["/webhooks/{endpoint}"]},
    "webhooks/deliveries/<uuid:delivery_id>": {OWNER: ["/webhooks/deliveries/{delivery}"]},
    "requests": {OWNER: ["/requests"], NEWCOMER: ["/requests"]},
    "requests/<uuid:entry_id>": {OWNER: ["/requests/{request}"]},
    "explorer": {OWNER: ["/explorer"]},
    "billing": {OWNER: ["/billing"], NEWCOMER: ["/billing"]},
    "billing/plan": {OWNER: ["/billing/plan"]},
    "billing/statement": {OWNER: ["/billing/statement"], NEWCOMER: ["/billing/statement"]},
    "usage": {OWNER: ["/usage"], NEWCOMER: ["/usage"]},
    "members": {OWNER: ["/members"], NEWCOMER: ["/members"]},
    "settings": {OWNER: ["/settings"]},
    "settings/profile": {OWNER: ["/settings/profile"]},
    "settings/audit": {OWNER: ["/settings/audit"]},
    "settings/privacy": {OWNER: ["/settings/privacy"], NEWCOMER: ["/settings/privacy"]},
    "settings/providers": {OWNER: ["/settings/providers"], NEWCOMER: ["/settings/providers"]},
    "accounts/login/": {STRANGER: ["/accounts/login/"]},
    "accounts/signup/": {STRANGER: ["/accounts/signup/"]},
    "accounts/inactive/": {STRANGER: ["/accounts/inactive/"]},
    "accounts/password/reset/": {STRANGER: ["/accounts/password/reset/"]},
    "accounts/password/reset/done/": {STRANGER: ["/accounts/password/reset/done/"]},
    "accounts/password/reset/key/done/": {STRANGER: ["/accounts/password/reset/key/done/"]},
    "accounts/^password/reset/key/(?P<uidb36>[0-9A-Za-z]+)-(?P<key>.+)/$": {
        STRANGER: ["/accounts/password/reset/key/1-none/"]
    },
    "accounts/confirm-email/": {STRANGER: ["/accounts/confirm-email/"]},
    "accounts/^confirm-email/(?P<key>[-:\\w]+)/$": {STRANGER: ["/accounts/confirm-email/none/"]},
    "accounts/3rdparty/login/cancelled/": {STRANGER: ["/accounts/3rdparty/login/cancelled/"]},
    "accounts/3rdparty/login/error/": {STRANGER: ["/accounts/3rdparty/login/error/"]},
    "accounts/logout/": {OWNER: ["/accounts/logout/"]},
    "accounts/email/": {OWNER: ["/accounts/email/"]},
    "accounts/password/change/": {OWNER: ["/accounts/password/change/"]},
    "accounts/reauthenticate/": {OWNER: ["/accounts/reauthenticate/"]},
    "accounts/sessions/": {OWNER: ["/accounts/sessions/"]},
    "accounts/3rdparty/": {OWNER: ["/accounts/3rdparty/"]},
    "accounts/2fa/": {OWNER: ["/accounts/2fa/"], CAREFUL: ["/accounts/2fa/"]},
    "accounts/2fa/totp/activate/": {OWNER: ["/accounts/2fa/totp/activate/"]},
    "accounts/2fa/totp/deactivate/": {CAREFUL: ["/accounts/2fa/totp/deactivate/"]},
    "accounts/2fa/recovery-codes/": {CAREFUL: ["/accounts/2fa/recovery-codes/"]},
    "accounts/2fa/recovery-codes/generate/": {CAREFUL: ["/accounts/2fa/recovery-codes/generate/"]},
    "accounts/2fa/webauthn/": {
        OWNER: ["/accounts/2fa/webauthn/"],
        CAREFUL: ["/accounts/2fa/webauthn/"],
    },
    "accounts/2fa/webauthn/add/": {OWNER: ["/accounts/2fa/webauthn/add/"]},
    "accounts/2fa/webauthn/keys/<int:pk>/edit/": {CAREFUL: ["/accounts/2fa/webauthn/keys/{passkey}/edit/"]},
    "accounts/2fa/webauthn/keys/<int:pk>/remove/": {
        CAREFUL: ["/accounts/2fa/webauthn/keys/{passkey}/remove/"]
    },
}
# What answers with a status of its own.
STATUS = {
    "/docs/no/such": 404,
    "/s/{over}": 410,
    "/invitations/none": 404,
    "/accounts/3rdparty/login/error/": 401,
}

# What django-unfold's own markup breaks on every page of the console, and why it stays until unfold mends it.
UNFOLD = {
    "landmark-one-main": "its frame has no <main>; a block of it would have to be copied here to add one",
    "region": "for the same reason its headings and buttons stand outside of landmarks",
    "landmark-unique": "its scroll bars name each scrolled box alike, after the page is there",
    "target-size": "the mark that takes a sort order away is 18 px; the heading beside it is a link as well",
}

# Addresses that show no page of their own, by what they are instead.
NO_PAGES: dict[str, set[str]] = {
    "data": {
        "healthz",
        "readyz",
        "docs/search.json",
        "v1/openapi.json",
        "v1/",
        ".well-known/jwks.json",
        "settings/audit.csv",
        "settings/privacy/copies/<uuid:export_id>",
        "studio/files/<uuid:file_id>",
        "studio/jobs/<uuid:job_id>",
        "studio/jobs/<uuid:job_id>/events",
        "jobs/<uuid:job_id>/log",
        "jobs/news",
        "billing/statement.csv",
        "usage.csv",
        "accounts/2fa/recovery-codes/download/",
        "accounts/2fa/webauthn/login/",
    },
    "files, which are there by their own right": {
        "files/<uuid:asset_id>/<str:token>/<str:name>",
        "storage/<str:token>",
        "uploads/<str:token>",
        "infsh/uploads/<str:token>",
        "api/v1/uploads/form",
        "s/<str:token>/video",
        "s/<str:token>/poster",
        "studio/jobs/<uuid:job_id>/clips/<int:index>",
    },
    "what others call": {"callbacks/<str:signed>", "billing/stripe/webhook"},
    "parts of a page, which come into it": {
        "jobs/rows",
        "status/note",
        "gallery/more",
        "gallery/news",
        "jobs/<uuid:job_id>/live",
        "webhooks/deliveries/<uuid:delivery_id>/live",
    },
    "ways to another page": {
        "docs/",
        "billing/topups/<uuid:topup_id>/return",
        "accounts/password/set/",  # of a person without a password
        "accounts/login/code/confirm/",
        "accounts/3rdparty/signup/",
        "accounts/social/login/cancelled/",
        "accounts/social/login/error/",
        "accounts/social/signup/",
        "accounts/social/connections/",
        "accounts/google/login/",
        "accounts/google/login/callback/",
        "accounts/google/login/token/",
        "accounts/github/login/",
        "accounts/github/login/callback/",
        "accounts/oidc/^(?P<provider_id>[^/]+)/login/",
        "accounts/oidc/^(?P<provider_id>[^/]+)/login/callback/",
    },
    "the same form as another page's, in the middle of something": {
        "accounts/2fa/authenticate/",
        "accounts/2fa/reauthenticate/",
        "accounts/2fa/webauthn/reauthenticate/",
    },
}


@dataclass(frozen=True)
class Sight:
    """One page as one person sees it."""

    who: str
    address: str

    def __str__(self) -> str:
        return f"{self.who} {self.address}"

    @property
    def is_article(self) -> bool:
        """One of many pages of text in one frame."""
        return self.address.startswith("/docs/")

    @property
    def status(self) -> int:
        return STATUS.get(self.address, 200)


def sights() -> Iterator[Sight]:
    """Person after person, so that one browser session serves each."""
    for who in (STRANGER, OWNER, NEWCOMER, CAREFUL):
        for seen in PAGES.values():
            yield from (Sight(who, address) for address in seen.get(who, ()))
