"""A small load generator: one process, one thread, a few connections that stay open, each with one request on its way.

    python -m bench.load PORT SECONDS CONNECTIONS EXPECT < request

The request is sent as it is. Every answer must have a 2xx status and EXPECT in its body, or the run fails.
"""

from __future__ import annotations

import json
import re
import selectors
import socket
import sys
import time

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
WARM_UP = 0.3


class Connection:
    """One request at a time."""

    def __init__(self, port: int, request: bytes) -> None:
        self.address = ("127.0.0.1", port)
        self.request = request
        self.socket = socket.create_connection(self.address)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.answer = b""
        self.sent = 0.0

    def send(self) -> None:
        self.answer = b""
        self.sent = time.perf_counter()
        self.socket.sendall(self.request)

    def receive(self) -> bytes | None:
        """The whole answer, None while it is not whole."""
        part = self.socket.recv(1 << 16)
        if not part:
            raise SystemExit(f"The server hung up after {self.answer[:200]!r}.")
        self.answer += part
        head, separator, body = self.answer.partition(b"\r\n\r\n")
        length = LENGTH.search(head)
        if not separator or (length and len(body) < int(length[1])):
            return None
        return self.answer


def main() -> None:
    port, seconds, connections, expect = int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    request = sys.stdin.buffer.read()
    selector = selectors.DefaultSelector()
    for _ in range(connections):
        connection = Connection(port, request)
        selector.register(connection.socket, selectors.EVENT_READ, connection)
        connection.send()
    waits: list[float] = []
    begun = time.perf_counter() + WARM_UP
    end = begun + seconds
    while (now := time.perf_counter()) < end:
        for key, _ in selector.select(end - now):
            answer = key.data.receive()
            if answer is None:
                continue
            if answer[9:10] != b"2" or expect.encode() not in answer:
                raise SystemExit(f"Not the answer expected: {answer[:500]!r}")
            if key.data.sent >= begun:
                waits.append(time.perf_counter() - key.data.sent)
            key.data.send()
    waits.sort()
    figures = {"p50": waits[len(waits) // 2] * 1000, "p95": waits[len(waits) * 95 // 100] * 1000}
    print(json.dumps({"rate": len(waits) / seconds, "cpu": time.process_time() / seconds, **figures}))


if __name__ == "__main__":
    main()
