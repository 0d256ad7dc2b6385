"""Asks a vendor about many orders at a steady rate with nothing but httpx and asyncio: the floor of `bench.poller`.

    python -m bench.bare_asker PORT ORDERS RATE SECONDS

Each order is asked about again and again, evenly, over connections that stay open: each a client of its own, since one
client with hundreds of connections goes through all of them at each request. A machine that stood still for some seconds
owes thousands of questions at once; no more are open together than a process may have files. Prints as JSON the moments
at which each question was due, by order, and what CPU and memory it took.
"""

from __future__ import annotations

import asyncio
import json
import random
import resource
import sys
import time

import httpx

MOST, PATIENCE = 500, 30


async def ask(port: int, orders: int, rate: float, seconds: float) -> dict[str, list[float]]:
    due: dict[str, list[float]] = {}
    idle: list[httpx.AsyncClient] = []
    every, end = orders / rate, time.time() + seconds
    room = asyncio.Semaphore(MOST)
    tls = httpx.create_ssl_context()

    async def follow(name: str, at: float) -> None:
        while at < end:
            await asyncio.sleep(at - time.time())
            due.setdefault(name, []).append(at)
            async with room:
                client = (
                    idle.pop() if idle else httpx.AsyncClient(verify=tls, trust_env=False, timeout=PATIENCE)
                )
                answer = await client.get(f"http://127.0.0.1:{port}/api/v3/predictions/{name}/result")
                assert answer.json()["data"]["status"] == "processing"
                idle.append(client)
            at += every

    begun = time.time()
    names = (f"{number:032x}" for number in range(orders))
    await asyncio.gather(*(follow(name, begun + random.uniform(0, every)) for name in names))
    for client in idle:
        await client.aclose()
    return due


def main() -> None:
    port, orders, rate, seconds = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4])
    due = asyncio.run(ask(port, orders, rate, seconds))
    usage = resource.getrusage(resource.RUSAGE_SELF)
    figures = {"cpu": usage.ru_utime + usage.ru_stime, "mib": usage.ru_maxrss / 1024, "due": due}
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
