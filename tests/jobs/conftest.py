"""What tests of the short cut past the database share."""

from __future__ import annotations

import pytest

from accounts import key_cache, shortcut
from billing import quotas
from jobs import snapshots


@pytest.fixture
def patient(monkeypatch):
    """On a busy machine Redis may be slow, and seconds may pass between two lines of a test: nothing runs out here."""
    monkeypatch.setattr(shortcut, "SECONDS", 10.0)
    monkeypatch.setattr(key_cache, "KEPT_MS", 600_000)
    monkeypatch.setattr(key_cache, "FORGOTTEN_MS", 600_000)
    monkeypatch.setattr(snapshots, "LIFE_MS", 600_000)
    monkeypatch.setattr(quotas, "CACHED_SECONDS", 600)
    quotas.forget()
    shortcut.shortcut.cache_clear()
    yield
    shortcut.shortcut.cache_clear()
    quotas.forget()
