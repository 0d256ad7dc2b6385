"""A door in front of Django under ASGI, which spools a whole body to disk before anybody asks who sent it."""

from __future__ import annotations

import json
import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from jobs.dialects.rest.wire.problems import problem

Message = Mapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[dict[str, Any], Receive, Send], Awaitable[None]]

# Around the largest file: the form's own lines.
SLACK = 64 * 1024
# Renders of our own workers arrive here, by signed address, where files are kept in a folder.
WORKSPACE_PATH = "/storage/"
WORKSPACE_FACTOR = 10
# Our own API words refusals by RFC 9457.
PROBLEMS_PATH = "/v1/"


class BodyLimit:
    """Answers 413 by the announced length, or when an unannounced body has grown too long."""

    def __init__(self, app: App, *, upload_max_bytes: int) -> None:
        self.app = app
        self.upload_max_bytes = upload_max_bytes

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        most = self.most(scope["path"])
        length = dict(scope["headers"]).get(b"content-length", b"0")
        if not length.isdigit() or int(length) > most:
            await refuse(send, most, scope["path"])
            return
        size = 0

        async def counted() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > most:
                await refuse(send, most, scope["path"])
                return {"type": "http.disconnect"}  # Django gives up without an answer of its own
            return message

        await self.app(scope, counted, send)

    def most(self, path: str) -> int:
        factor = WORKSPACE_FACTOR if path.startswith(WORKSPACE_PATH) else 1
        return factor * self.upload_max_bytes + SLACK


async def refuse(send: Send, most: int, path: str) -> None:
    message = f"The body is larger than {most // 1024**2} MiB."
    if path.startswith(PROBLEMS_PATH):
        kind, said = b"application/problem+json", problem(413, "body_too_large", message)
    else:
        kind, said = b"application/json", {"code": 413, "error_code": "body_too_large", "message": message}
    body = json.dumps(said).encode()
    headers = [(b"content-type", kind), (b"content-length", str(len(body)).encode())]
    headers.append((b"x-request-id", secrets.token_hex(12).encode()))
    # What is still to come is not read, so the connection cannot be used again.
    await send(
        {"type": "http.response.start", "status": 413, "headers": [*headers, (b"connection", b"close")]}
    )
    await send({"type": "http.response.body", "body": body})
