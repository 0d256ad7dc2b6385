"""The demo: one picture and one voice go through the public HTTP API, as a customer's programme sends them.

Nothing here reaches into the platform; even the organization is made by the operator's command.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
import wave
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any, TextIO

import av
import httpx

from billing.money import format_usd
from config.embedded.home import CHECKOUT, Home, write_private

SAMPLES = CHECKOUT / "tests" / "samples"
PICTURE, VOICE = SAMPLES / "portrait.jpg", SAMPLES / "speech.wav"
EMAIL = "demo@example.com"
CREDIT_USD = "20"
LOW_CREDIT = 1_000_000  # a dollar; the sample costs less
ORDER = {"model": "wan-2.2-s2v", "options": {"resolution": "480p", "seed": 7}}
POLL = 0.25
PATIENCE = 240.0
BAR = 30


class DemoError(Exception):
    """The demo did not get its video; the message says why."""


@dataclass(frozen=True)
class Video:
    """What a decoder finds in a file. `frames` were really decoded."""

    width: int
    height: int
    rate: Fraction
    frames: int
    has_sound: bool

    @property
    def seconds(self) -> float:
        return float(self.frames / self.rate)


class Showcase:
    """One run of the demo against a running stack."""

    def __init__(self, home: Home, *, url: str, env: Mapping[str, str], out: TextIO = sys.stdout) -> None:
        self.home = home
        self.url = url
        self.env = dict(env)
        self.out = out
        self.began = time.monotonic()
        self.account = self._account()
        self.api = self._client(self.account)

    def run(self) -> Video:
        """Renders the sample, shows the bill, and returns the video if it is what was ordered."""
        before = self._get("/v1/balance")
        files = {"image": self._upload(PICTURE), "audio": self._upload(VOICE)}
        job = self._post("/v1/jobs", json={**ORDER, "inputs": files})
        self._say(f"Job {job['id']}: {ORDER['model']}, at most {usd(payable(job['price']))}")
        job = self._follow(job)
        if job["status"] != "succeeded":
            error = job["error"] or {"code": job["status"], "message": "no reason given"}
            raise DemoError(f"The job ended as {job['status']}: {error['message']} ({error['code']})")
        path, address = self._download(job)
        video = look_at(path)
        self._show(job, before, path, address, video)
        return video

    def _account(self) -> dict[str, Any]:
        """The demo organization of this home, made on the first run and when its credit is used up."""
        kept = self.home.root / "demo.json"
        account: dict[str, Any] = json.loads(kept.read_text()) if kept.exists() else {}
        if account and self._is_good(account):
            return account
        command = [
            sys.executable,
            "manage.py",
            "create_org",
            "Demo",
            "--email",
            EMAIL,
            "--credit-usd",
            CREDIT_USD,
        ]
        made = subprocess.run(
            command, env=self.env, cwd=CHECKOUT, capture_output=True, text=True, check=False
        )
        if made.returncode:
            raise DemoError(f"create_org failed: {made.stderr.strip().splitlines()[-1]}")
        fresh = json.loads(made.stdout.strip().splitlines()[-1])
        # A person who had an account already keeps the password, which only our note knows.
        fresh["password"] = fresh["password"] or account.get("password")
        write_private(kept, json.dumps(fresh, indent=1))
        return dict(fresh)

    def _is_good(self, account: Mapping[str, Any]) -> bool:
        with self._client(account) as client:
            answer = client.get("/v1/balance")
        return answer.is_success and answer.json()["available_micros"] >= LOW_CREDIT

    def _client(self, account: Mapping[str, Any]) -> httpx.Client:
        headers = {"Authorization": f"Bearer {account['api_key']}"}
        # A proxy in the environment has no business between two processes of one machine.
        return httpx.Client(base_url=self.url, headers=headers, timeout=60, trust_env=False)

    def _upload(self, path: Path) -> str:
        with path.open("rb") as file:
            made = self._post("/v1/files", files={"file": (path.name, file)})
        return str(made["id"])

    def _post(self, path: str, **options: Any) -> dict[str, Any]:
        return _body(self.api.post(path, **options))

    def _get(self, path: str) -> dict[str, Any]:
        return _body(self.api.get(path))

    def _follow(self, job: dict[str, Any]) -> dict[str, Any]:
        """Polls until the job has ended, drawing its progress."""
        bar = ProgressBar(self.out)
        end = time.monotonic() + PATIENCE
        while not job["finished_at"]:
            bar.draw(job)
            if time.monotonic() > end:
                raise DemoError(f"The job is still {job['status']} after {PATIENCE:.0f} s.")
            time.sleep(POLL)
            job = self._get(f"/v1/jobs/{job['id']}")
        bar.close(job)
        return job

    def _download(self, job: dict[str, Any]) -> tuple[Path, str]:
        address = next((output["url"] for output in job["outputs"] if output["kind"] == "video"), None)
        if not address:
            raise DemoError("The job succeeded without a video among its outputs.")
        path = self.home.root / "demo" / f"{job['id']}.mp4"
        path.parent.mkdir(exist_ok=True)
        with httpx.stream("GET", address, follow_redirects=True, trust_env=False, timeout=60) as answer:
            if not answer.is_success:
                raise DemoError(f"The video's address answered {answer.status_code}.")
            with path.open("wb") as file:
                for block in answer.iter_bytes():
                    file.write(block)
        return path, str(address)

    def _show(
        self, job: dict[str, Any], before: dict[str, Any], path: Path, address: str, video: Video
    ) -> None:
        password = self.account["password"] or "(set before)"
        price, after = job["price"], self._get("/v1/balance")
        phases = durations(self._get(f"/v1/jobs/{job['id']}/events")["data"])
        sound = "with sound" if video.has_sound else "WITHOUT SOUND"
        shape = f"{video.width}x{video.height}, {float(video.rate):g} fps, {video.seconds:.2f} s, {sound}"
        lines = {
            "Video": f"{path} ({shape})",
            "Address": address,
            "Phases": ", ".join(f"{name} {seconds:.1f} s" for name, seconds in phases),
            "Billed": f"{price['billed_seconds']} s",
            "Price": usd(price["quoted_micros"]),
            "Free": f"{usd(price['free_micros'])} of it, by the model's free quota",
            "Paid": usd(price["charged_micros"]),
            "Balance": f"{usd(before['available_micros'])} before, {usd(after['available_micros'])} after",
            "Dashboard": f"{self.url}/ as {self.account['login']}, password {password}",
            "Took": f"{time.monotonic() - self.began:.1f} s since the stack was ready",
        }
        self._say("")
        for name, text in lines.items():
            self._say(f"{name:<10} {text}")
        self._say("           (a preview by the CPU engine talking_portrait, not by the diffusion model)\n")

    def _say(self, text: str) -> None:
        print(text, file=self.out, flush=True)


class ProgressBar:
    """One line that redraws itself on a terminal; elsewhere one line for each new phase."""

    def __init__(self, out: TextIO) -> None:
        self.out = out
        self.live = out.isatty()
        self.last = ""
        self.began = time.monotonic()

    def draw(self, job: Mapping[str, Any]) -> None:
        words = job["status"] if job["phase"] in {"", job["status"]} else f"{job['status']}: {job['phase']}"
        if self.live:
            full = round(job["progress"] * BAR)
            bar = "█" * full + "·" * (BAR - full)
            seconds = time.monotonic() - self.began
            print(
                f"\r\x1b[K{bar} {job['progress']:4.0%} {seconds:5.1f} s  {words}",
                end="",
                file=self.out,
                flush=True,
            )
        elif words != self.last:
            print(f"  {words} ({job['progress']:.0%})", file=self.out, flush=True)
        self.last = words

    def close(self, job: Mapping[str, Any]) -> None:
        self.draw(job)
        if self.live:
            print(file=self.out)


def _body(answer: httpx.Response) -> dict[str, Any]:
    if answer.is_success:
        return dict(answer.json())
    try:
        reason = answer.json()["detail"]
    except (ValueError, KeyError):
        reason = answer.text[:200]
    raise DemoError(
        f"{answer.request.method} {answer.request.url.path} answered {answer.status_code}: {reason}"
    )


def payable(price: Mapping[str, Any]) -> int:
    return int(price["quoted_micros"] - price["free_micros"])


def usd(micros: int) -> str:
    return f"{format_usd(micros)} USD"


def durations(events: list[dict[str, Any]]) -> list[tuple[str, float]]:
    """How long the job was in each phase: [("queued", 0.1), ("analyse", 2.5) ...]; the last has no length."""
    steps: list[tuple[str, datetime]] = []
    for event in events:
        if event["type"] == "progress":
            continue
        name = {"created": "queued", "phase": event["data"].get("phase")}.get(event["type"], event["type"])
        steps.append((name or "phase", datetime.fromisoformat(event["at"])))
    return [(name, (then - at).total_seconds()) for (name, at), (_, then) in pairwise(steps)]


def look_at(path: Path) -> Video:
    """Decodes the whole file; DemoError if it is not the video that was ordered."""
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            rate = Fraction(stream.average_rate or 0)
            width, height = stream.codec_context.width, stream.codec_context.height
            frames = sum(1 for _ in container.decode(stream))
        with av.open(str(path)) as container:
            sound = any(frame.to_ndarray().any() for frame in container.decode(audio=0))
    except (av.FFmpegError, IndexError) as error:
        raise DemoError(f"{path} does not decode: {error}") from None
    video = Video(width=width, height=height, rate=rate, frames=frames, has_sound=sound)
    with wave.open(str(VOICE)) as voice:
        wanted = voice.getnframes() / voice.getframerate()
    if not rate or abs(video.seconds - wanted) > float(1 / rate) or not sound:
        raise DemoError(f"{path} is not what was ordered ({wanted:.2f} s with sound): {video}")
    return video
