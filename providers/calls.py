"""Calling an adapter, which is asynchronous, from a verb, which is not."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import ParamSpec, TypeVar

from asgiref.sync import async_to_sync

P = ParamSpec("P")
T = TypeVar("T")


def call(seconds: float, function: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """The function's result, or TimeoutError after `seconds`. Its database work runs on the caller's connection."""

    async def bounded() -> T:
        return await asyncio.wait_for(function(*args, **kwargs), seconds)

    return async_to_sync(bounded)()
