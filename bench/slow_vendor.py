"""A vendor that takes its time: every order is still at work, and it says so 200 ms after it was asked.

    python -m bench.slow_vendor [--seconds 0.2]

It prints its port. It speaks as much of WaveSpeed's API as a poll needs, over bare sockets, so that it is never what
holds a bench up. `GET /arrivals` answers, for every question since the last such request, the order's id and the moment
at which the question came, and forgets them.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time

END = b"\r\n\r\n"
ARRIVALS = b"/arrivals"


class Conversation(asyncio.Protocol):
    """One connection; requests without a body, one after the other."""

    def __init__(self, seconds: float, arrivals: list[tuple[str, float]]) -> None:
        self.seconds, self.arrivals = seconds, arrivals
        self.waiting = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.waiting += data
        while END in self.waiting:
            head, self.waiting = self.waiting.split(END, 1)
            path = head.split(b" ", 2)[1]
            if path == ARRIVALS:
                self.answer(json.dumps(self.arrivals).encode())
                self.arrivals.clear()
                continue
            name = path.split(b"/")[-2].decode()
            self.arrivals.append((name, time.time()))
            asyncio.get_running_loop().call_later(self.seconds, self.answer, at_work(name))

    def answer(self, body: bytes) -> None:
        if not self.transport.is_closing():
            head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            self.transport.write(head.encode() + body)


def at_work(name: str) -> bytes:
    data = {
        "id": name,
        "model": "wavespeed-ai/wan-2.2/speech-to-video",
        "status": "processing",
        "outputs": [],
        "has_nsfw_contents": [],
        "error": "",
        "code": 0,
        "created_at": "2026-01-15T08:30:12.481920133Z",
        "timings": {"inference": 0},
        "urls": {"get": f"https://api.wavespeed.ai/api/v3/predictions/{name}/result"},
    }
    return json.dumps({"code": 200, "message": "success", "data": data}).encode()


async def serve(seconds: float) -> None:
    arrivals: list[tuple[str, float]] = []
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Conversation(seconds, arrivals), "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def main() -> None:
    options = argparse.ArgumentParser(description="Answers slowly.")
    options.add_argument("--seconds", type=float, default=0.2)
    asyncio.run(serve(options.parse_args().seconds))


if __name__ == "__main__":
    main()
