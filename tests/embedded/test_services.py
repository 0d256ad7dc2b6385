"""The suite's own servers are real ones."""

from __future__ import annotations

import urllib.error
import urllib.request

import pytest
from django.core.cache import cache
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import connection


def test_database_is_postgresql_18(db):
    assert connection.vendor == "postgresql"
    assert connection.pg_version >= 180000


def test_redis_keeps_what_it_is_given():
    cache.set("services", "real", 5)
    assert cache.get("services") == "real"


def test_storage_checks_signatures(db):
    name = default_storage.save("services/hello.txt", ContentFile(b"hello"))
    address = default_storage.url(name)
    with urllib.request.urlopen(address) as answer:
        assert answer.read() == b"hello"
    forged = address[:-4] + ("0000" if address[-4:] != "0000" else "1111")
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(forged)
    default_storage.delete(name)
