"""What a provider is asked for: an attempt's order, and the address that it may call about it."""

from __future__ import annotations

from uuid import UUID

from django.conf import settings
from django.core.signing import Signer

from jobs import chain, storage
from jobs.gallery import workspace_prefix
from jobs.models import Asset, Attempt, Job
from jobs.types import Failure
from providers.base import InputFile, Order
from providers.models import Route

ORDER_LIFE_SECONDS = 6 * 3600
FILE_GONE = "file_gone"


class InputGone(Exception):
    """An input was deleted while the job waited. args[0] is its role."""

    @property
    def failure(self) -> Failure:
        message = f"The file given as {self.args[0]} was deleted before its turn came; nothing was charged."
        return Failure(FILE_GONE, message, hint="Upload the file again and order anew.")


def make_order(job: Job, attempt: Attempt, route: Route) -> Order:
    """The order with addresses that stay readable for its whole life. Raises InputGone."""
    assets = Asset.objects.live().in_bulk([UUID(source["asset"]) for source in job.inputs.values()])
    if gone := [role for role, source in job.inputs.items() if UUID(source["asset"]) not in assets]:
        raise InputGone(gone[0])
    files = {role: _input_file(assets[UUID(source["asset"])]) for role, source in job.inputs.items()}
    if attempt.part:
        files = chain.inputs(attempt, job, route, files, seconds=ORDER_LIFE_SECONDS)
    return Order(
        tag=attempt.tag,
        model=job.model,
        inputs=files,
        options=job.options,
        length_ms=chain.length_ms(attempt, job),
        workspace=storage.workspace(workspace_prefix(attempt), seconds=ORDER_LIFE_SECONDS),
        life_seconds=ORDER_LIFE_SECONDS,
        route=route.settings,
        callback_url=callback_url(attempt.tag),
    )


_signer = Signer(salt="jobs.callback", sep=".")


def callback_url(tag: str) -> str:
    """Where a provider may tell about this attempt; the signature makes it good for nothing else."""
    return f"{settings.PUBLIC_URL}/callbacks/{_signer.sign(tag)}" if settings.PROVIDER_CALLBACKS else ""


def called_tag(signed: str) -> str:
    """The tag in a callback's address. Raises BadSignature."""
    return _signer.unsign(signed)


def _input_file(asset: Asset) -> InputFile:
    return InputFile(
        url=storage.signed_get(asset.key, seconds=ORDER_LIFE_SECONDS),
        content_type=asset.content_type,
        bytes=asset.bytes,
        duration_ms=asset.duration_ms,
        width=asset.width,
        height=asset.height,
    )
