"""What every adapter of a vendor makes of a vendor that is slow, broken, cut off, lying or hostile."""

from __future__ import annotations

import time
from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from django.test import Client
from django.utils import timezone

from billing import ledger
from config.embedded import process
from jobs import settle
from jobs.models import Asset, Attempt, Job
from jobs.states import FINAL, Status
from jobs.submit import submit
from providers import errors, vault
from providers.calls import call
from providers.registry import adapter, adapter_class
from tests.jobs import drive
from tests.providers.conformance.matrix import KINDS, proves
from tests.providers.conformance.stands import STANDS, VendorStand, grow_old, standing

PRICE = 3 * 30_000
VENDORS = sorted(slug for slug, kind in STANDS.items() if issubclass(kind, VendorStand))


def ended(job: Job, *, steps: int = 40) -> Job:
    for _ in range(steps):
        drive.step()
        job.refresh_from_db()
        if job.status in FINAL:
            return job
    raise AssertionError((job.status, job.phase, list(job.attempts.values("status", "error_code", "note"))))


def until_placed(job: Job, *, steps: int = 12) -> Attempt:
    """The attempt that the vendor has taken and that we know of."""
    for _ in range(steps):
        drive.hurry()
        drive.dispatch.dispatch()
        drive.async_to_sync(drive.poll.resolve_unknown)()
        found = job.attempts.exclude(external_id="").first()
        if found:
            return found
    raise AssertionError(list(job.attempts.values("status", "error_code", "note")))


def begun(job: Job) -> None:
    """One more attempt: at once, or as soon as the account's pace allows."""
    before, end = job.attempts.count(), time.monotonic() + 20
    while job.attempts.count() == before:
        drive.hurry()
        drive.dispatch.dispatch()
        assert time.monotonic() < end


def is_free(stand) -> bool:
    return ledger.balance(stand.organization) == ledger.Balance(20 * drive.USD, 0)


def is_held(stand) -> bool:
    return ledger.balance(stand.organization).held_micros == PRICE


@pytest.fixture
def job(vendor_stand, caller):
    return submit(caller, vendor_stand.request())


# --- the submit ---------------------------------------------------------------------------------------------


@proves("refusal")
def test_a_refusal_is_told_in_our_words(vendor_stand, caller):
    vendor_stand.trouble("refusal")
    job = ended(submit(caller, vendor_stand.request()))
    assert (job.status, job.error_code) == (Status.FAILED, vendor_stand.refusal_code)
    assert Attempt.objects.get().note  # the operator reads why
    assert vendor_stand.orders() == 0
    assert is_free(vendor_stand)


@proves("throttle")
def test_a_throttled_submit_is_tried_again(vendor_stand, job):
    vendor_stand.trouble("throttle")
    vendor_stand.trouble("throttle")
    until_placed(job)
    assert job.attempts.count() == 3
    assert vendor_stand.orders() == 1


def test_an_account_that_may_not_order_leaves_the_job_to_another_route(vendor_stand, job):
    vendor_stand.trouble("denied")
    drive.fake_route(vendor_stand.organization, vendor_stand.model, priority=200)
    job = ended(job)
    assert job.status == Status.SUCCEEDED
    assert list(job.attempts.order_by("number").values_list("provider", "error_code")) == [
        (vendor_stand.slug, "provider_account"),
        ("fake", ""),
    ]


@proves(*(KINDS[kind] for kind in VendorStand.LOSES))
@pytest.mark.parametrize("kind", VendorStand.LOSES)
def test_a_lost_answer_is_found_again_and_nothing_is_ordered_twice(vendor_stand, job, kind):
    vendor_stand.trouble(kind)
    drive.dispatch.dispatch()
    attempt = job.attempts.get()
    assert attempt.status == "unknown"
    assert is_held(vendor_stand)
    if vendor_stand.FINDS:
        assert until_placed(job).pk == attempt.pk
    else:
        drive.step()
        grow_old(job)
        drive.step()
        attempt.refresh_from_db()
        assert attempt.status == "unknown"
    assert vendor_stand.orders() == 1
    assert job.attempts.count() == 1
    assert is_held(vendor_stand)


@proves(*(KINDS[kind] for kind in VendorStand.MISSES))
@pytest.mark.parametrize("kind", VendorStand.MISSES)
def test_an_order_that_never_arrived_is_placed_again_once_that_is_certain(vendor_stand, job, kind):
    vendor_stand.trouble(kind)
    drive.dispatch.dispatch()
    assert job.attempts.get().status == "unknown"
    drive.step()
    assert job.attempts.get().status == "unknown", "too early to be certain"
    assert vendor_stand.orders() == 0
    assert is_held(vendor_stand)
    if vendor_stand.FINDS:
        grow_old(job)
        until_placed(job)
        assert job.attempts.count() == 2
        assert vendor_stand.orders() == 1


@proves("slow")
def test_a_vendor_that_never_answers_is_given_up_and_asked_later(vendor_stand, job):
    """It takes the order in the end: longer than we wait, but before we could think that it never came."""
    vendor_stand.trouble("slow")
    drive.dispatch.dispatch()
    assert job.attempts.get().status == "unknown"
    assert is_held(vendor_stand)
    vendor_stand.vendor.released.set()
    assert process.until(lambda: vendor_stand.orders() == 1, seconds=20, pause=0.02)
    if vendor_stand.FINDS:
        until_placed(job)
    assert vendor_stand.orders() == job.attempts.count() == 1


def test_nobody_there_means_that_nothing_was_ordered(vendor_stand, job):
    vendor_stand.vendor.shutdown()
    vendor_stand.vendor.socket.close()
    drive.dispatch.dispatch()
    assert job.attempts.get().error_code == "provider_unavailable"
    job.refresh_from_db()
    assert job.status == Status.QUEUED


@proves("redirect inside")
def test_a_redirect_is_not_followed(vendor_stand, job):
    vendor_stand.trouble("redirect")
    until_placed(job)
    assert vendor_stand.vendor.trespasses == 0
    assert vendor_stand.orders() == 1


def test_inputs_that_cannot_be_handed_over_order_nothing(vendor_stand, job, settings):
    vendor = vendor_stand.vendor
    if not vendor_stand.UPLOADS:
        assert vendor.count(vendor_stand.UPLOADS) == 0
        return
    for kind in ("error", "cut_before", "garbage", "wrong_type", "redirect", "huge", "proxy_404"):
        vendor.fault(vendor_stand.UPLOADS, *[kind] * 4)  # of every file: they are handed over side by side
        begun(job)
        assert job.attempts.latest("number").error_code == "provider_unavailable", kind
        assert vendor_stand.orders() == 0
        vendor.heal()
    vendor.elsewhere = (
        f"http://localhost:{vendor.server_port}"  # a private address that the operator did not name
    )
    begun(job)
    assert job.attempts.latest("number").error_code == "provider_unavailable"
    assert vendor.count("put") == vendor_stand.orders() == 0
    settings.FETCH_ALLOW_HOSTS = [*settings.FETCH_ALLOW_HOSTS, f"localhost:{vendor.server_port}"]
    vendor.fault("put", "flood", "flood")  # what is said after a file is not read
    begun(job)
    assert job.attempts.latest("number").external_id
    assert vendor.count("put") == 2 + (vendor_stand.slug == "dashscope")
    assert vendor.trespasses == 0


# --- polls --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind",
    [
        *("throttle", "error", "cut_before", "cut_after", "garbage", "wrong_type", "huge", "redirect"),
        *("denied", "proxy_404"),
    ],
)
def test_a_poll_that_fails_fails_nothing(vendor_stand, job, kind):
    attempt = until_placed(job)
    vendor_stand.vendor.fault("poll", *[kind] * 4)
    for _ in range(4):
        drive.hurry()
        drive.async_to_sync(drive.polling.poll_due)()
    attempt.refresh_from_db()
    assert attempt.status in {"submitted", "running"}
    assert attempt.poll_failures == 4
    assert vendor_stand.vendor.trespasses == 0
    drive.hurry()
    drive.async_to_sync(drive.polling.poll_due)()
    attempt.refresh_from_db()
    assert (attempt.status, attempt.poll_failures) == ("succeeded", 0)


# --- results ------------------------------------------------------------------------------------------------


@proves("expired result")
@pytest.mark.parametrize("kind", ["expired", "redirect", "garbage", "flood"])
def test_a_result_that_is_not_there_or_no_film_is_believed_after_some_tries(vendor_stand, job, kind):
    vendor_stand.vendor.fault("file", *[kind] * 20)
    job = ended(job)
    assert (job.status, job.error_code) == (Status.FAILED, "output_unusable")
    assert vendor_stand.vendor.trespasses == 0
    assert not Asset.objects.filter(job=job).exists()
    assert is_free(vendor_stand)


@pytest.mark.parametrize("kind", ["error", "cut_before"])
def test_a_result_that_comes_late_is_kept_however_often_it_was_asked_for(vendor_stand, job, kind):
    vendor_stand.vendor.fault("file", *[kind] * (settle.SAVE_TRIES + 4))
    job = ended(job)
    assert (job.status, job.tries) == (Status.SUCCEEDED, settle.SAVE_TRIES + 4)
    assert ledger.balance(vendor_stand.organization) == ledger.Balance(20 * drive.USD - PRICE, 0)


def test_a_result_that_never_comes_is_waited_for_until_the_vendor_drops_it(vendor_stand, job):
    vendor_stand.vendor.fault("file", *["error"] * 100)
    while job.tries <= settle.SAVE_TRIES:
        drive.step()
        job.refresh_from_db()
    assert job.status == Status.SAVING
    assert is_held(vendor_stand)
    kept = timedelta(seconds=adapter_class(vendor_stand.slug).keeps_seconds)
    Attempt.objects.update(finished_at=timezone.now() - kept + timedelta(minutes=1))
    drive.step()
    job.refresh_from_db()
    assert job.status == Status.SAVING, "it is kept for a minute more"
    Attempt.objects.update(finished_at=timezone.now() - kept)
    job = ended(job)  # another route would have been given it
    assert (job.status, job.error_code, job.error_retryable) == (Status.FAILED, "output_unusable", True)
    assert is_free(vendor_stand)


# --- words --------------------------------------------------------------------------------------------------


@proves("vendor words")
def test_no_word_of_the_vendor_reaches_a_customer(vendor_stand, job, caller, api, alice_browser):
    """Of a lost, a running and a failed job, by the API and on the pages."""
    shown = []

    def look(job: Job) -> None:
        for address in (f"/v1/jobs/{job.pk}", f"/v1/jobs/{job.pk}/events", "/v1/events", "/v1/jobs"):
            answer = api.get(address)
            assert answer.status_code == 200
            body = b"".join(answer.streaming_content) if answer.streaming else answer.content
            shown.append(body.decode())
        shown.extend(alice_browser.get(address).content.decode() for address in (f"/jobs/{job.pk}", "/"))

    vendor_stand.trouble("garbage")
    drive.dispatch.dispatch()
    look(job)
    vendor_stand.fail()
    if not vendor_stand.FINDS:  # that one stays lost
        job = submit(caller, vendor_stand.request())
    until_placed(job)
    look(job)
    words = vendor_stand.words()
    job = ended(job)
    look(job)
    text = "\n".join(shown).lower()
    assert [word for word in words if word.lower() in text] == []
    assert job.error_message
    assert job.attempts.get().note


# --- callbacks ----------------------------------------------------------------------------------------------


CALLERS = ["inferencesh", "wavespeed"]


@proves("duplicate callback", of=CALLERS)
@pytest.mark.parametrize("slug", CALLERS)
def test_a_call_that_comes_often_counts_once(slug, org, caller, settings):
    """It brings the poll forward; after the end it changes nothing, and is thanked for all the same."""
    settings.PROVIDER_CALLBACKS = True
    with standing(slug, org) as stand:
        settings.FETCH_ALLOW_HOSTS = [stand.vendor.host]
        job = submit(caller, stand.request())
        until_placed(job)
        Attempt.objects.update(due_at=timezone.now() + timedelta(hours=1))
        (task,) = stand.vendor.tasks.values()

        def called() -> int:
            url, headers, body = stand.vendor.webhook(task)
            headers = {name: value for name, value in headers.items() if name != "Content-Type"}
            path = urlsplit(url).path
            return Client().post(path, body, "application/json", headers=headers).status_code

        assert [called(), called()] == [204, 204]
        assert Attempt.objects.get().due_at <= timezone.now()
        assert ended(job).status == Status.SUCCEEDED
        seen = Attempt.objects.values().get()
        assert [called(), called()] == [204, 204]
        assert Attempt.objects.values().get() == seen
        assert ledger.balance(org) == ledger.Balance(20 * drive.USD - PRICE, 0)


def test_an_address_that_we_gave_to_nobody_is_not_found(db):
    assert Client().post("/callbacks/0123.abc", b"{}", "application/json").status_code == 404
    assert Client().get("/callbacks/0123.abc").status_code == 405


def test_an_account_is_verified_without_an_order(vendor_stand):
    """A good key is told from a wrong one, and nothing is ordered for that."""
    stand = vendor_stand
    call(20, adapter(stand.slug, stand.account.pk).verify)
    vault.keep(stand.account, key="wrong")
    stand.account.save()
    with pytest.raises(errors.AccountRefused):
        call(20, adapter(stand.slug, stand.account.pk).verify)
    assert stand.orders() == 0
