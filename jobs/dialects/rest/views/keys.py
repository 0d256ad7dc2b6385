"""API keys: list, issue, change, rotate, revoke."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db.models import Q
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import keys
from accounts.models import ApiKey, ApiKeyQuerySet
from billing.models import KeySpend
from jobs.dialects.rest.contract import Answer, operation
from jobs.dialects.rest.schemas import keys as schemas
from jobs.dialects.rest.schemas.parts import UUID as AN_ID
from jobs.dialects.rest.schemas.parts import const
from jobs.dialects.rest.views.base import View, limit
from jobs.dialects.rest.wire import keys as wire
from jobs.errors import NotFound

MISSING = ("key_not_found", "not_found")
# The text of a key must not stay in anybody's cache.
SECRET = {"Cache-Control": "no-store"}
ISSUED = Answer(
    "The new key; its text is shown this once.", schemas.ISSUED, headers={"Cache-Control": const("no-store")}
)


class KeyView(View):
    read_scope = write_scope = "keys:write"

    @property
    def keys(self) -> ApiKeyQuerySet:
        return ApiKey.objects.for_org(self.caller.organization).with_clock()

    def found(self, key_id: UUID) -> ApiKey:
        row = self.keys.filter(pk=key_id).first()
        if row is None:
            raise NotFound("key_not_found", "There is no such API key.")
        return row

    def shown_keys(self, rows: Sequence[ApiKey]) -> list[dict[str, Any]]:
        """Keys with what they spent and what replaced them: two queries, however many they are."""
        spends = KeySpend.objects.in_bulk([row.chain_id for row in rows])
        newer = {row.replaces_id: row for row in ApiKey.objects.filter(replaces__in=[row.pk for row in rows])}
        mine = self.caller.key.pk if self.caller.key else None
        return [
            wire.key(row, spends.get(row.chain_id), newer.get(row.pk), current=row.pk == mine) for row in rows
        ]

    def one(self, key_id: UUID) -> dict[str, Any]:
        """As it is now."""
        return self.shown_keys([self.found(key_id)])[0]


class Keys(KeyView):
    @operation(
        "listKeys",
        "List API keys",
        tag="Keys",
        query={
            "after": {
                **AN_ID,
                "title": "the id of an API key",
                "description": "The `next` of the page before.",
            },
            "limit": limit(),
        },
        answers={200: Answer("A page of keys, the newest first; those that are over too.", schemas.KEYS)},
        refusals=("key_not_found",),
    )
    def get(self, request: Request) -> Response:
        rows = self.keys.order_by("-created_at", "-id")
        if after := self.query.get("after"):
            last = self.found(after)
            rows = rows.filter(
                Q(created_at=last.created_at, pk__lt=last.pk) | Q(created_at__lt=last.created_at)
            )
        most = self.query["limit"]
        page = list(rows[: most + 1])
        data = self.shown_keys(page[:most])
        more = len(page) > most
        return Response({"data": data, "has_more": more, "next": data[-1]["id"] if more else None})

    @operation(
        "createKey",
        "Issue an API key",
        tag="Keys",
        body=schemas.NEW,
        answers={201: ISSUED},
        refusals=("key_limit_escaped",),
    )
    def post(self, request: Request) -> Response:
        """A key gives away no more than it has: no scope that it lacks, no later end, no wider networks. Where neither
        an end nor networks are named, the new key gets those of the key that issues it. A key with a spend cap issues
        none; it can be rotated.
        """
        settings = wire.settings(self.body, timezone.now())
        key, text = keys.issue(self.caller.organization, by=self.caller, **settings)
        return Response({**self.one(key.pk), "key": text}, status=201, headers=SECRET)


class OneKey(KeyView):
    @operation(
        "getKey",
        "Look at an API key",
        tag="Keys",
        answers={200: Answer("The key, without its text.", schemas.KEY)},
        refusals=MISSING,
    )
    def get(self, request: Request, key_id: UUID) -> Response:
        return Response(self.one(key_id))

    @operation(
        "changeKey",
        "Change an API key",
        tag="Keys",
        body=schemas.CHANGE,
        answers={200: Answer("The key as it is now.", schemas.KEY)},
        refusals=(*MISSING, "key_limit_escaped", "key_ended"),
    )
    def patch(self, request: Request, key_id: UUID) -> Response:
        """From now on, for the next request with that key. What the key you use may not give away, it may not change
        either: nothing is widened beyond its own limits, its own key included.
        """
        changed = keys.change(self.found(key_id), self.caller, wire.settings(self.body, timezone.now()))
        return Response(self.one(changed.pk))

    @operation(
        "revokeKey",
        "Revoke an API key",
        tag="Keys",
        answers={204: Answer("From now on it is refused. It stays in the list.")},
        refusals=MISSING,
    )
    def delete(self, request: Request, key_id: UUID) -> Response:
        """For good. Revoking twice changes nothing; jobs under way go on."""
        keys.revoke(self.found(key_id), self.caller)
        return Response(status=204)


class Rotate(KeyView):
    @operation(
        "rotateKey",
        "Rotate an API key",
        tag="Keys",
        body=schemas.ROTATION,
        answers={201: ISSUED},
        refusals=(*MISSING, "key_limit_escaped", "key_ended"),
    )
    def post(self, request: Request, key_id: UUID) -> Response:
        """A new key with the settings of the old one, which works on for the overlap. Both spend from one cap, with what
        was spent before. A key is rotated once; go on with the one that replaced it.
        """
        overlap = timedelta(hours=int(self.body.get("overlap_hours", schemas.OVERLAP)))
        key, text = keys.rotate(self.found(key_id), overlap, by=self.caller)
        return Response({**self.one(key.pk), "key": text}, status=201, headers=SECRET)
