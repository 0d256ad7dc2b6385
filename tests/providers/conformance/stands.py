"""Where each adapter of the registry is tried: the provider itself, or its double, and the order it gets."""

from __future__ import annotations

import io
import tempfile
import wave
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from django.db import connection
from PIL import Image

from accounts.models import Organization
from jobs import storage
from jobs.models import Asset, Attempt, Job
from jobs.types import JobRequest
from providers import vault
from providers.local.render import render
from providers.models import FakeTask, ProviderAccount, Render, Route
from tests.jobs import drive
from tests.jobs.drive import SAMPLES
from tests.vendors.dashscope import double as dashscope
from tests.vendors.inferencesh import double as inferencesh
from tests.vendors.openai_videos import double as openai_videos
from tests.vendors.server import Vendor, running
from tests.vendors.wavespeed import double as wavespeed

VOICE_MS = 2000
STANDS: dict[str, type[Stand]] = {}


class Stand:
    """One provider under test."""

    slug: ClassVar[str]
    model: ClassVar[str] = "wan-2.2-s2v"
    # The scenarios of the matrix that do not apply, and why in one line.
    SPARED: ClassVar[Mapping[str, str]] = {}

    def __init_subclass__(cls) -> None:
        if "slug" in vars(cls):
            STANDS[cls.slug] = cls

    def __init__(self, organization: Organization) -> None:
        self.organization = organization
        drive.fund(organization)
        self.route = Route.objects.create(
            model=self.model, provider=self.slug, organization=organization, **self.route_fields()
        )

    def route_fields(self) -> dict[str, Any]:
        return {}

    def request(self) -> JobRequest:
        inputs = {"image": picture(self.organization), "audio": voice(self.organization)}
        options = {"prompt": self.prompt(), "seed": 7, **self.options()}
        return JobRequest(model=self.model, inputs=inputs, options=options, dialect="rest")

    def prompt(self) -> str:
        return ""

    def options(self) -> dict[str, Any]:
        return {}

    def fail(self) -> str:
        """The order will fail at the provider; our code for it."""
        raise NotImplementedError

    def stall(self) -> None:
        """It will not end."""
        raise NotImplementedError

    def forget(self) -> None:
        """The provider knows nothing of its orders any more."""
        raise NotImplementedError

    def orders(self) -> int:
        """How many orders the provider has taken."""
        raise NotImplementedError

    def work(self) -> None:
        """What the provider does by itself between two questions."""

    def words(self) -> list[str]:
        """What no customer may read."""
        return list(Attempt.objects.exclude(external_id="").values_list("external_id", flat=True))


UNANSWERED = "It is a table of ours: no answer is read from a wire."
NO_PROXY = "Nothing stands between us and it."
NO_WEB = "Its result is put into our own store, no address is followed."
SILENT = "It calls nobody, so nothing comes twice."


class FakeStand(Stand):
    slug = "fake"
    SPARED: ClassVar[Mapping[str, str]] = {
        "proxy's error": NO_PROXY,
        **dict.fromkeys(("garbage", "wrong type", "huge body"), UNANSWERED),
        **dict.fromkeys(("redirect inside", "expired result"), NO_WEB),
        "duplicate callback": SILENT,
    }
    script = ""

    def prompt(self) -> str:
        return self.script

    def fail(self) -> str:
        self.script = "[fake fail=face_not_found]"
        return "face_not_found"

    def stall(self) -> None:
        self.script = "[fake stall]"

    def forget(self) -> None:
        FakeTask.objects.all().delete()

    def orders(self) -> int:
        return FakeTask.objects.exclude(order={}).count()


class LocalStand(Stand):
    """Our own machines: the render itself runs in its child process."""

    slug = "local"
    SPARED: ClassVar[Mapping[str, str]] = {
        "throttle": "Renders wait in our own queue, of which nobody is turned away.",
        "server error": "An order is a row in our database; where that fails the job is not dispatched either.",
        "proxy's error": NO_PROXY,
        **dict.fromkeys(
            ("cut before the effect", "cut after the effect"),
            "The order is written by the one statement that answers, so no answer can be lost.",
        ),
        **dict.fromkeys(("garbage", "wrong type", "huge body"), UNANSWERED),
        **dict.fromkeys(("redirect inside", "expired result"), NO_WEB),
        "duplicate callback": SILENT,
    }
    stalled = False

    def route_fields(self) -> dict[str, Any]:
        return {"settings": {"engine": "talking_portrait", "queue": "cpu"}}

    def work(self) -> None:
        if not self.stalled:
            for row in Render.objects.filter(status=Render.Status.WAITING):
                render(str(row.pk))

    def fail(self) -> str:
        self.no_face = True
        return "face_not_found"

    def request(self) -> JobRequest:
        asked = super().request()
        if getattr(self, "no_face", False):
            blank = picture(self.organization, blank=True)
            return JobRequest(
                model=asked.model,
                inputs={**asked.inputs, "image": blank},
                options=asked.options,
                dialect="rest",
            )
        return asked

    def stall(self) -> None:
        self.stalled = True

    def forget(self) -> None:
        Render.objects.all().delete()

    def orders(self) -> int:
        return Render.objects.count()


class VendorStand(Stand):
    """A vendor's double on loopback, and an account of ours there."""

    double: ClassVar[type[Vendor]]
    key: ClassVar[str]
    secret: ClassVar[str] = ""
    ending: ClassVar[Any]
    ending_code: ClassVar[str]
    refusal_code: ClassVar[str] = "content_refused"
    # Troubles that mean: the answer is lost, but the order was taken; or it was not taken.
    LOSES = ("cut_after", "error_after", "garbage", "wrong_type", "huge", "proxy_503", "proxy_408")
    MISSES = ("cut_before", "error")
    # Whether the vendor can tell what became of an order whose answer was lost.
    FINDS: ClassVar[bool] = True
    # The operation by which it takes files; "" where it reads them at our address.
    UPLOADS: ClassVar[str] = ""

    def __init__(self, organization: Organization, vendor: Vendor) -> None:
        self.vendor = vendor
        super().__init__(organization)

    def account_fields(self) -> dict[str, Any]:
        return {}

    def route_fields(self) -> dict[str, Any]:
        account = ProviderAccount(
            provider=self.slug, name="test", base_url=self.base_url(), **self.account_fields()
        )
        vault.keep(account, key=self.key, secret=self.secret)
        account.save()
        self.account = account
        return {"account": account, "cost_micros_per_second": 30_000}

    def base_url(self) -> str:
        return self.vendor.url

    def trouble(self, kind: str) -> None:
        self.vendor.fault("submit", kind)

    def fail(self) -> str:
        self.vendor.ending = self.ending
        return self.ending_code

    def stall(self) -> None:
        self.vendor.polls_to_end = 1_000_000

    def forget(self) -> None:
        self.vendor.tasks.clear()

    def orders(self) -> int:
        return len(self.vendor.tasks)

    def words(self) -> list[str]:
        return [*super().words(), *self.vendor.words()]


class WaveSpeedStand(VendorStand):
    slug = "wavespeed"
    double = wavespeed.WaveSpeed
    key, secret = wavespeed.KEY, wavespeed.SECRET
    ending, ending_code = 1402, "input_unreachable"
    UPLOADS = "ticket"


class DashScopeStand(VendorStand):
    slug = "dashscope"
    SPARED: ClassVar[Mapping[str, str]] = {"duplicate callback": SILENT}
    double = dashscope.DashScope
    key = dashscope.KEY
    ending, ending_code = "InvalidFile.NoHuman", "face_not_found"
    UPLOADS = "policy"

    def account_fields(self) -> dict[str, Any]:
        # Only ours: a lost order may be taken from the list.
        return {"settings": {"exclusive": True}}

    def base_url(self) -> str:
        return f"{self.vendor.url}/api/v1"


class InferenceShStand(VendorStand):
    slug = "inferencesh"
    double = inferencesh.InferenceSh
    key = inferencesh.KEY
    ending, ending_code = "failed", "provider_failed"
    FINDS = False
    UPLOADS = "upload"


class OpenAIVideosStand(VendorStand):
    slug = "openai_videos"
    SPARED: ClassVar[Mapping[str, str]] = {"duplicate callback": SILENT}
    double = openai_videos.OpenAIVideos
    key = openai_videos.KEY
    ending, ending_code = "failed", "provider_failed"
    refusal_code = "input_unsuitable"

    def account_fields(self) -> dict[str, Any]:
        return {"settings": {"exclusive": True}}

    def base_url(self) -> str:
        return f"{self.vendor.url}/v1"


@contextmanager
def standing(slug: str, organization: Organization) -> Iterator[Stand]:
    kind = STANDS[slug]
    if not issubclass(kind, VendorStand):
        yield kind(organization)
        return
    with running(kind.double()) as vendor:
        yield kind(organization, vendor)


# --- inputs -------------------------------------------------------------------------------------------------


def voice(organization: Organization) -> str:
    with wave.open(str(SAMPLES / "speech.wav")) as sample:
        frames = sample.readframes(sample.getframerate() * VOICE_MS // 1000)
        out = io.BytesIO()
        with wave.open(out, "wb") as cut:
            cut.setparams(sample.getparams())
            cut.writeframes(frames)
    return stored(organization, "audio", out.getvalue(), "audio/wav", duration_ms=VOICE_MS)


def picture(organization: Organization, *, blank: bool = False) -> str:
    content = (SAMPLES / "portrait.jpg").read_bytes()
    if blank:
        out = io.BytesIO()
        Image.new("RGB", (512, 512), "grey").save(out, "JPEG")
        content = out.getvalue()
    return stored(organization, "image", content, "image/jpeg", width=512, height=512)


def stored(organization: Organization, kind: str, content: bytes, content_type: str, **fields: Any) -> str:
    """A file of the organization, as if it had been uploaded and probed."""
    row = Asset(
        organization=organization, origin="upload", kind=kind, status="ready", filename=kind, **fields
    )
    row.key = storage.new_key(organization.pk, row.id, kind)
    row.content_type, row.bytes = content_type, len(content)
    with tempfile.NamedTemporaryFile() as file:
        file.write(content)
        file.flush()
        storage.put(row.key, Path(file.name), content_type=content_type)
    row.save(force_insert=True)
    return str(row.id)


def grow_old(job: Job, minutes: int = 5) -> None:
    """Make the job's attempts older, as if so much time had passed since they were written."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE jobs_attempt SET created_at = created_at - make_interval(mins => %s) WHERE job_id = %s",
            [minutes, job.pk],
        )
