"""How a view of `/v1` states what it takes and gives: one `@operation` above each method.

The statement is the OpenAPI document's text, and it is kept: before the method runs, the query and the body are
checked against it and lie in `self.query` and `self.body`. What changes something runs once for an Idempotency-Key.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from django.http import HttpResponseBase
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request

from accounts.tenancy import Caller
from jobs.dialects.rest.checking import Checker, QueryChecker, check_characters
from jobs.dialects.rest.idempotency import once
from jobs.dialects.rest.schemas.parts import Schema

JSON = "application/json"
P = ParamSpec("P")


@dataclass(frozen=True)
class Answer:
    """What comes back under one status. `media` names further types of body; `headers` are always sent."""

    description: str
    schema: Schema | None = None
    media: Mapping[str, Schema] = field(default_factory=dict)
    headers: Mapping[str, Schema] = field(default_factory=dict)

    def contents(self) -> dict[str, Schema]:
        return {**({JSON: self.schema} if self.schema else {}), **self.media}


@dataclass(frozen=True)
class Operation:
    """One method of one address. `refusals` are the codes beyond those that every such request can meet."""

    name: str
    summary: str
    tag: str
    answers: Mapping[int, Answer]
    body: Schema | None = None
    body_type: str = JSON
    query: Mapping[str, Schema] = field(default_factory=dict)
    headers: Mapping[str, Schema] = field(default_factory=dict)
    refusals: Sequence[str] = ()
    public: bool = False

    @functools.cached_property
    def body_checker(self) -> Checker | None:
        return Checker(self.body) if self.body is not None and self.body_type == JSON else None

    @functools.cached_property
    def header_checkers(self) -> dict[str, Checker]:
        return {name: Checker(schema) for name, schema in self.headers.items()}

    @functools.cached_property
    def query_checker(self) -> QueryChecker:
        return QueryChecker(self.query)


class Stated(Protocol):
    """What a view gives to its methods."""

    query: dict[str, Any]
    body: Any

    @property
    def caller(self) -> Caller: ...


V = TypeVar("V", bound=Stated)
Method = Callable[Concatenate[V, Request, P], HttpResponseBase]


def operation(
    name: str, summary: str, *, tag: str, answers: Mapping[int, Answer], **more: Any
) -> Callable[[Method[V, P]], Method[V, P]]:
    """States a method's contract; see Operation for `more`. The method's docstring becomes the description."""
    stated = Operation(name, summary, tag, answers, **more)

    def wrap(method: Method[V, P]) -> Method[V, P]:
        @functools.wraps(method)
        def checked(view: V, request: Request, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
            view.query = stated.query_checker.read(request.query_params)
            for header, checker in stated.header_checkers.items():
                if header in request.headers:
                    checker.check(request.headers[header], header)
            if stated.body_checker:
                view.body = request.data
                check_characters(view.body)
                stated.body_checker.check(view.body)
            if stated.public or request.method in SAFE_METHODS:
                return method(view, request, *args, **kwargs)
            return once(view.caller, request, lambda: method(view, request, *args, **kwargs))

        checked.operation = stated  # type: ignore[attr-defined]  # where the document looks for it
        return checked

    return wrap


def operation_of(method: object) -> Operation | None:
    found = getattr(method, "operation", None)
    return found if isinstance(found, Operation) else None
