"""The cache that counts sign-in attempts. While Redis is away people still get in, uncounted.

A door that closes whenever its counter fails would make Redis as important as the database.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from django.core.cache.backends.redis import RedisCache
from redis import RedisError

log = logging.getLogger(__name__)


class CalmRedisCache(RedisCache):
    """What allauth uses of a cache, each answering as an empty cache would when Redis does not."""

    def add(self, *args: Any, **kwargs: Any) -> bool:
        return bool(_calmly(super().add, True, *args, **kwargs))

    def get(self, key: Any, default: Any = None, version: int | None = None) -> Any:
        return _calmly(super().get, default, key, default, version)

    def set(self, *args: Any, **kwargs: Any) -> None:
        _calmly(super().set, None, *args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> bool:
        return bool(_calmly(super().delete, False, *args, **kwargs))


def _calmly(operation: Callable[..., Any], otherwise: Any, /, *args: Any, **kwargs: Any) -> Any:
    try:
        return operation(*args, **kwargs)
    except RedisError as error:
        log.warning("Redis is away, sign-in attempts are not counted: %s", type(error).__name__)
        return otherwise
