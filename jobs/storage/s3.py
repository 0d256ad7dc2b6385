"""Any S3-compatible store, through django-storages' connection."""

from __future__ import annotations

import itertools
import os
import threading
import weakref
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO, cast

from boto3.exceptions import Boto3Error
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from django.conf import settings
from storages.backends.s3 import S3Storage

from jobs.storage.backend import PROBE_KEY, SignedPut, StorageUnavailable, disposition

MISSING = {"404", "NoSuchKey", "NotFound"}
# Signature version 4 allows no longer life.
MAX_SECONDS = 7 * 24 * 3600
# DeleteObjects takes this many keys.
BATCH = 1000
# Connections that one process keeps open to one store. A request of a page may wait for a store that hangs, so not for
# minutes, as botocore would; what the operator's own configuration says comes before this.
PATIENT = Config(
    max_pool_connections=32,
    connect_timeout=5,
    read_timeout=30,
    retries={"mode": "standard", "total_max_attempts": 3},
)
HASTY = Config(connect_timeout=1, read_timeout=2, retries={"total_max_attempts": 1})

# By storage, and whether in haste.
_clients: weakref.WeakKeyDictionary[S3Storage, dict[bool, Any]] = weakref.WeakKeyDictionary()
_making = threading.Lock()


class S3Backend:
    """`storage` is a storages.backends.s3.S3Storage."""

    def __init__(self, storage: Any) -> None:
        self._storage = storage

    @property
    def _signer(self) -> Any:
        """Signs for the endpoint that customers reach: a signature covers the host."""
        outside = settings.S3_PUBLIC_ENDPOINT
        if not outside or outside == self._storage.endpoint_url:
            return self._client
        return client_of(public_storage(outside))

    @property
    def _client(self) -> Any:
        return client_of(self._storage)

    def _object(self, key: str) -> dict[str, str]:
        return {"Bucket": self._storage.bucket_name, "Key": key}

    def put(self, key: str, path: Path, content_type: str) -> None:
        with _errors(key):
            self._client.upload_file(str(path), **self._object(key), ExtraArgs={"ContentType": content_type})

    def fetch(self, key: str, dest: Path) -> None:
        with _errors(key):
            self._client.download_file(**self._object(key), Filename=str(dest))

    def open(self, key: str) -> BinaryIO:
        with _errors(key):
            return cast("BinaryIO", self._client.get_object(**self._object(key))["Body"])

    def size(self, key: str) -> int | None:
        try:
            with _errors(key):
                return int(self._client.head_object(**self._object(key))["ContentLength"])
        except FileNotFoundError:
            return None

    def answers(self) -> bool:
        client = client_of(self._storage, hasty=True)
        try:
            with _errors(PROBE_KEY):
                client.head_object(**self._object(PROBE_KEY))
        except FileNotFoundError:
            return True
        except StorageUnavailable:
            return False
        return True

    def delete(self, keys: Iterable[str]) -> None:
        rest = iter(keys)
        while batch := list(itertools.islice(rest, BATCH)):
            wanted = {"Objects": [{"Key": key} for key in batch], "Quiet": True}
            with _errors(batch[0]):
                answer = self._client.delete_objects(Bucket=self._storage.bucket_name, Delete=wanted)
            if answer.get("Errors"):
                raise StorageUnavailable(f"{len(answer['Errors'])} objects were not deleted")

    def under(self, prefix: str) -> list[str]:
        pages = self._client.get_paginator("list_objects_v2")
        with _errors(prefix):
            found = pages.paginate(Bucket=self._storage.bucket_name, Prefix=f"{prefix}/")
            return [entry["Key"] for page in found for entry in page.get("Contents", ())]

    def copy(self, src: str, dst: str) -> None:
        with _errors(src):
            self._client.copy(self._object(src), **self._object(dst))

    def signed_get(
        self, key: str, *, seconds: int, filename: str | None, inline: bool, content_type: str | None
    ) -> str:
        wanted = self._object(key) | {"ResponseContentDisposition": disposition(filename, inline=inline)}
        if content_type:
            wanted["ResponseContentType"] = content_type
        return self._sign("get_object", wanted, seconds)

    def signed_put(
        self,
        key: str,
        *,
        content_type: str | None,
        max_bytes: int,
        seconds: int,
        overwrite: bool,
        exact: bool,
    ) -> SignedPut:
        wanted, headers = dict[str, Any](self._object(key)), {}
        # S3 signs no upper size, only the very one; whoever uses the object measures it first.
        if exact:
            wanted["ContentLength"] = max_bytes  # every client sends that header by itself
        if content_type:
            wanted["ContentType"] = headers["Content-Type"] = content_type
        if not overwrite:
            wanted["IfNoneMatch"] = headers["If-None-Match"] = "*"
        return SignedPut(self._sign("put_object", wanted, seconds), headers)

    def _sign(self, operation: str, wanted: Mapping[str, Any], seconds: int) -> str:
        life = min(seconds, MAX_SECONDS)
        with _errors(wanted["Key"]):
            return str(self._signer.generate_presigned_url(operation, Params=wanted, ExpiresIn=life))


def client_of(storage: S3Storage, *, hasty: bool = False) -> Any:
    """One client for all threads of this process, which boto3 allows; `hasty` is another that waits for nothing.

    The storage itself keeps one a thread, and a third of a second of work goes into each: every call of an
    adapter would pay it, for each is a thread of its own.
    """
    with _making:
        clients = _clients.setdefault(storage, {})
        if hasty not in clients:
            # A copy has no connection yet; the storage's own may be of the process that this one was forked from.
            twin = copy(storage)
            config = PATIENT.merge(twin.client_config)
            twin.client_config = config.merge(HASTY) if hasty else config
            clients[hasty] = twin.connection.meta.client
            weakref.finalize(storage, clients[hasty].close)
        return clients[hasty]


def _forget() -> None:
    """A forked child shares no socket with its parent."""
    global _making  # noqa: PLW0603  another thread may have held it when the process forked
    _clients.clear()
    _making = threading.Lock()


os.register_at_fork(after_in_child=_forget)


@cache
def public_storage(endpoint: str) -> Any:
    """The same store as it is reached from outside."""
    return S3Storage(**{**settings.STORAGES["default"]["OPTIONS"], "endpoint_url": endpoint})


@contextmanager
def _errors(key: str) -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") in MISSING:
            raise FileNotFoundError(key) from None
        raise StorageUnavailable(str(error)) from error
    except (BotoCoreError, Boto3Error) as error:
        raise StorageUnavailable(str(error)) from error
