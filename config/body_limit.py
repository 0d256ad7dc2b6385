"""A door in front of Django under ASGI, which spools a whole body to disk before anybody asks who sent it."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

Message = Mapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[dict[str, Any], Receive, Send], Awaitable[None]]

# Around the largest file: the form's own lines.
SLACK = 64 * 1024
# Renders of our own workers arrive here, by signed address, where files are kept in a folder.
WORKSPACE_PATH = "/storage/"
WORKSPACE_FACTOR = 10


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
            await refuse(send, most)
            return
        size = 0

        async def counted() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > most:
                await refuse(send, most)
                return {"type": "http.disconnect"}  # Django gives up without an answer of its own
            return message

        await self.app(scope, counted, send)

    def most(self, path: str) -> int:
        factor = WORKSPACE_FACTOR if path.startswith(WORKSPACE_PATH) else 1
        return factor * self.upload_max_bytes + SLACK


async def refuse(send: Send, most: int) -> None:
    message = f"The body is larger than {most // 1024**2} MiB."
    body = json.dumps({"code": 413, "error_code": "body_too_large", "message": message}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    # What is still to come is not read, so the connection cannot be used again.
    await send(
        {"type": "http.response.start", "status": 413, "headers": [*headers, (b"connection", b"close")]}
    )
    await send({"type": "http.response.body", "body": body})
