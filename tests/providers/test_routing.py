"""Which route takes an order: what each accepts, what the organization wants, what an operator has switched off."""

from __future__ import annotations

import pytest
from django.db import connection

from accounts.models import AuditEntry
from billing import ledger
from jobs import sweep, switches
from jobs.errors import Invalid, NoRoute
from jobs.models import Asset, Attempt, Job
from jobs.submit import offer, submit
from jobs.types import JobRequest
from providers import vault
from providers.models import Circuit, FakeTask, ProviderAccount, Route, RoutingPolicy
from providers.policy import PolicyRefused, set_policy
from tests.jobs import drive
from tests.vendors.dashscope import double as dashscope
from tests.vendors.server import running


@pytest.fixture
def place(org):
    """`place("name", ...)`: an account and a route of Acme's on it."""
    drive.fund(org)
    Route.objects.filter(organization=None).delete()

    def made(name: str, *, settings: dict | None = None, **fields) -> Route:
        account = ProviderAccount.objects.create(provider="fake", name=name, settings=settings or {})
        return drive.fake_route(org, account=account, **fields)

    return made


@pytest.fixture
def film(org, caller):
    """Orders a film and sees it to its end: the routes that it took."""

    def made(prompt: str = "", **fields) -> list[int]:
        job = submit(caller, drive.request(org, prompt, **fields))
        drive.run_all()
        return list(job.attempts.order_by("number").values_list("route_id", flat=True))

    return made


# --- what a route takes ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limits", "code", "field"),
    [
        ({"max_length_ms": 3000}, "audio_too_long", "audio"),
        ({"min_length_ms": 5000}, "input_unsuitable", "audio"),
        ({"min_side": 600}, "input_unsuitable", "image"),
        ({"max_side": 500}, "input_unsuitable", "image"),
        ({"formats": ["audio/mpeg"]}, "input_unsuitable", "audio"),
        ({"formats": ["image/png", "audio/wav"]}, "input_unsuitable", "image"),
        ({"max_bytes": 1000}, "input_unsuitable", "image"),
        ({"resolutions": ["720p"]}, "input_unsuitable", "resolution"),
    ],
)
def test_what_no_route_takes_is_refused_at_submit_and_what_one_takes_is_not(
    place, org, caller, film, limits, code, field
):
    place("narrow", priority=1, **limits)
    for order in (submit, offer):
        with pytest.raises(Invalid) as refusal:
            order(caller, drive.request(org))
        assert (refusal.value.code, refusal.value.field) == (code, field)
    assert not Job.objects.exists()
    assert ledger.balance(org).held_micros == 0
    wide = place("wide", priority=2)
    assert film() == [wide.pk]


def test_the_customer_reads_what_would_be_taken(place, api, org):
    place("narrow", max_length_ms=2500)
    request = drive.request(org)
    body = {"model": request.model, "inputs": dict(request.inputs)}
    answer = api.post("/v1/jobs", body, format="json")
    assert (answer.status_code, answer.json()["code"]) == (422, "audio_too_long")
    assert "4.0 s" in answer.json()["detail"]
    assert "2.5 s" in answer.json()["detail"]


def test_each_vendor_says_itself_what_it_takes(org, caller):
    drive.fund(org)
    account = ProviderAccount.objects.create(provider="dashscope", name="d")
    Route.objects.create(model="wan-2.2-s2v", provider="dashscope", account=account, organization=org)
    with pytest.raises(Invalid) as refusal:
        submit(caller, drive.request(org, duration_ms=25_000))
    assert refusal.value.code == "audio_too_long"
    submit(caller, drive.request(org, duration_ms=15_000))


def test_a_voice_that_is_cut_may_have_any_format_and_size(org, caller):
    """Its pieces are files of our own making."""
    drive.fund(org)
    account = ProviderAccount.objects.create(provider="dashscope", name="d")
    route = Route.objects.create(
        model="wan-2.2-s2v", provider="dashscope", account=account, organization=org, cut_longer=True
    )

    def ordered(duration_ms: int) -> Job:
        request = drive.request(org, duration_ms=duration_ms)
        big = {"content_type": "audio/mp4", "bytes": 50 * 1024**2}
        Asset.objects.filter(pk=request.inputs["audio"]).update(**big)
        return submit(caller, request)

    assert ordered(25_000)
    with pytest.raises(Invalid) as refusal:
        ordered(15_000)
    assert refusal.value.field == "audio"
    Route.objects.filter(pk=route.pk).update(cut_longer=False)
    with pytest.raises(Invalid):
        ordered(25_000)


@pytest.mark.parametrize(
    ("role", "width", "height", "fits"),
    [
        ("video", 2048, 1024, True),
        ("video", 2049, 1024, False),
        ("video", 1024, 199, False),
        ("video", 1600, 500, False),
        ("video", 1500, 500, True),
        ("image", 4000, 1400, True),
        ("image", 4000, 1300, False),
    ],
)
def test_what_shape_a_vendor_takes_is_known_before_it_is_ordered(org, caller, role, width, height, fits):
    drive.fund(org)
    account = ProviderAccount.objects.create(provider="dashscope", name="d")
    Route.objects.filter(organization=None).delete()
    Route.objects.create(model="wan-2.2-animate", provider="dashscope", account=account, organization=org)
    files = {kind: drive.asset(org, kind) for kind in ("image", "video")}
    Asset.objects.filter(pk=files[role].pk).update(width=width, height=height)
    inputs = {kind: str(file.pk) for kind, file in files.items()}
    request = JobRequest(model="wan-2.2-animate", inputs=inputs, options={"seed": 1}, dialect="rest")
    if fits:
        assert submit(caller, request)
        return
    with pytest.raises(Invalid) as refusal:
        submit(caller, request)
    assert (refusal.value.code, refusal.value.field) == ("input_unsuitable", role)


def test_a_route_of_another_region_than_the_vendor_makes_it_in_takes_nothing(org, caller):
    drive.fund(org)
    account = ProviderAccount.objects.create(
        provider="dashscope", name="d", settings={"region": "ap-southeast-1"}
    )
    Route.objects.create(model="wan-2.2-s2v", provider="dashscope", account=account, organization=org)
    with pytest.raises(NoRoute):
        submit(caller, drive.request(org))


# --- what the organization wants ---------------------------------------------------------------------------


def test_the_cheapest_first_by_resolution_and_a_price_not_known_last(place, org, alice, film):
    unknown = place("unknown", priority=1)
    dear = place("dear", priority=2, cost_micros_per_second=50_000, cost_by_resolution={"720p": 10_000})
    cheap = place("cheap", priority=3, cost_micros_per_second=20_000)
    assert film() == [unknown.pk]
    set_policy(org, by=alice, order="cheapest")
    assert film() == [cheap.pk]
    assert film(options={"resolution": "720p"}) == [dear.pk]
    job = Job.objects.latest("pk")
    assert job.attempts.get().cost_micros == 4 * 10_000
    assert film("[fake flaky=engine_failed]") == [cheap.pk, dear.pk, unknown.pk]


def test_the_fastest_of_late_first_and_what_nobody_timed_is_tried(place, org, alice, film):
    slow, quick = place("slow", priority=1), place("quick", priority=2)
    film()
    assert Circuit.objects.get(route=slow).pace > 0
    set_policy(org, by=alice, order="fastest")
    assert film() == [quick.pk]
    Circuit.objects.filter(route=slow).update(pace=9.0)
    assert film() == [quick.pk]
    Circuit.objects.filter(route=quick).update(pace=10.0)
    assert film() == [slow.pk]


def test_own_machines_first_then_the_cloud_after_the_agreed_wait(place, org, alice, caller, monkeypatch):
    from providers import routing

    cloud, own = place("cloud", priority=1), place("gpu", priority=2, max_running=1)
    monkeypatch.setattr(routing, "own_machines", lambda route: route.pk == own.pk)
    set_policy(org, by=alice, order="own_first", own_wait_seconds=60)
    first, second = (submit(caller, drive.request(org, "[fake stall]")) for _ in range(2))
    drive.dispatch.dispatch()
    assert [job.attempts.count() for job in (first, second)] == [1, 0]
    assert first.attempts.get().route_id == own.pk
    with connection.cursor() as cursor:
        cursor.execute("UPDATE jobs_job SET queued_at = queued_at - interval '61 s' WHERE status = 'queued'")
    drive.dispatch.dispatch()
    assert second.attempts.get().route_id == cloud.pk


def test_a_preview_is_never_better_than_the_model_itself(place, org, alice, film):
    preview = drive.fake_route(org, priority=1, settings={"preview": True})
    cloud = place("cloud", priority=2, cost_micros_per_second=50_000)
    assert film() == [preview.pk]
    set_policy(org, by=alice, order="cheapest")
    assert film() == [cloud.pk]


@pytest.mark.parametrize("policy", [{"providers": ["fake"]}, {"regions": ["eu"]}])
def test_a_hard_limit_holds_on_fail_over_and_with_every_circuit_open(place, org, alice, caller, film, policy):
    """The forbidden vendor, best in every other respect, sees no request at all."""
    with running(dashscope.DashScope()) as vendor:
        account = ProviderAccount(provider="dashscope", name="d", base_url=f"{vendor.url}/api/v1")
        vault.keep(account, key=dashscope.KEY)
        account.save()
        Route.objects.create(
            model="wan-2.2-s2v",
            provider="dashscope",
            account=account,
            organization=org,
            priority=1,
            cost_micros_per_second=1,
        )
        allowed = place("here", priority=2, region="eu-central-1")
        set_policy(org, by=alice, order="cheapest", **policy)
        assert film("[fake flaky=engine_failed]") == [allowed.pk]
        for _ in range(5):
            film("[fake flaky=engine_failed]")
        assert Circuit.objects.get(route=allowed).opened_at is not None
        assert film() == [allowed.pk]
        switches.drain(allowed, by=alice)
        with pytest.raises(NoRoute):
            submit(caller, drive.request(org))
        assert vendor.calls == [], "not one request"
        RoutingPolicy.objects.all().delete()
        job = submit(caller, drive.request(org))
        drive.dispatch.dispatch()
        assert job.attempts.get().provider == "dashscope"
        assert vendor.calls, "and it would have seen one"


def test_a_policy_reaches_jobs_that_wait(place, org, alice, caller):
    first, second = place("a", priority=1, region="us"), place("b", priority=2, region="eu-west-1")
    job = submit(caller, drive.request(org))
    set_policy(org, by=alice, regions=["EU "])
    drive.dispatch.dispatch()
    assert job.attempts.get().route_id == second.pk != first.pk


@pytest.mark.parametrize(
    ("field", "wrong"),
    [("order", "best"), ("own_wait_seconds", -1), ("providers", ["nobody"]), ("regions", ["x" * 41])],
)
def test_a_policy_that_means_nothing_is_refused(org, alice, field, wrong):
    with pytest.raises(PolicyRefused) as refusal:
        set_policy(org, by=alice, **{field: wrong})
    assert refusal.value.field == field


def test_a_policy_is_set_in_the_console_and_on_record(console, org):
    form = {"organization": org.pk, "order": "cheapest", "own_wait_seconds": 0}
    address = "/console/providers/routingpolicy/add/"
    assert console.post(address, {**form, "providers": "nobody", "regions": ""}).status_code == 200
    assert console.post(address, {**form, "providers": "fake,local", "regions": "eu"}).status_code == 302
    assert RoutingPolicy.objects.get().providers == ["fake", "local"]
    assert AuditEntry.objects.filter(action="routingpolicy.add").exists()


# --- switches ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by_account", [False, True])
def test_a_drained_route_takes_nothing_new_and_finishes_what_runs(place, org, caller, alice, by_account):
    route, other = place("first", priority=1), place("second", priority=2)
    running_, waiting = (submit(caller, drive.request(org)) for _ in range(2))
    drive.dispatch.dispatch(limit=1)
    switches.drain(route.account if by_account else route, by=alice)
    drive.run_all()
    assert running_.attempts.get().route_id == route.pk
    assert waiting.attempts.get().route_id == other.pk
    assert set(Job.objects.values_list("status", flat=True)) == {"succeeded"}


@pytest.mark.parametrize("by_account", [False, True])
def test_a_killed_route_is_left_at_once_by_what_runs_there(place, org, caller, alice, by_account):
    route, other = place("first", priority=1), place("second", priority=2)
    job = submit(caller, drive.request(org, "[fake seconds=30]"))
    drive.dispatch.dispatch()
    switches.kill(route.account if by_account else route, by=alice)
    assert ("jobs.kill",) in list(sweep.due())
    assert switches.stop_killed() == 1
    assert switches.stop_killed() == 0
    FakeTask.objects.update(script={})
    drive.dispatch.dispatch()
    assert list(job.attempts.order_by("number").values_list("route_id", "status")) == [
        (route.pk, "canceled"),
        (other.pk, "submitted"),
    ]
    assert FakeTask.objects.get(tag=job.attempts.get(number=1).tag).canceled
    assert not Circuit.objects.filter(failures__gt=0).exists(), "an operator's word says nothing of the route"


def test_a_lost_order_outlives_the_kill_and_is_not_placed_twice(place, org, caller, alice):
    route, _ = place("first", priority=1), place("second", priority=2)
    job = submit(caller, drive.request(org, "[fake drop seconds=30]"))
    drive.dispatch.dispatch()
    switches.kill(route, by=alice)
    assert switches.stop_killed() == 0
    drive.dispatch.dispatch()
    assert Attempt.objects.count() == 1
    drive.hurry()
    drive.async_to_sync(drive.poll.resolve_unknown)()
    assert job.attempts.get().status == "submitted"
    assert switches.stop_killed() == 1, "now it is known to run there"
    assert ledger.balance(org).held_micros == job.quoted_micros


def test_a_killed_job_without_another_route_fails_free(place, org, caller, alice):
    route = place("only")
    job = submit(caller, drive.request(org, "[fake stall]"))
    drive.dispatch.dispatch()
    switches.kill(route, by=alice)
    switches.stop_killed()
    drive.run_all()
    job.refresh_from_db()
    assert (job.status, job.charged_micros) == ("failed", 0)
    switches.reopen(route, by=alice)
    assert submit(caller, drive.request(org))


def test_the_switches_stand_in_the_console_and_are_on_record(console, place, org, caller):
    route = place("first")
    for what, state in (("drain", "drained"), ("kill", "killed"), ("reopen", "open")):
        form = {"action": what, "_selected_action": [route.pk]}
        assert console.post("/console/providers/route/", form).status_code == 302
        assert state in console.get("/console/providers/route/").content.decode()
        assert AuditEntry.objects.filter(action=f"route.{what}").exists()
        route.refresh_from_db()
        assert route.enabled == (what == "reopen")
    form = {"action": "test", "_selected_action": [route.account_id]}
    shown = console.post("/console/providers/provideraccount/", form, follow=True).content.decode()
    assert "takes the key" in shown
    form = {"action": "drain", "_selected_action": [route.account_id]}
    assert console.post("/console/providers/provideraccount/", form).status_code == 302
    with pytest.raises(NoRoute):
        submit(caller, drive.request(org))


def test_a_route_is_narrowed_in_the_console(console, place, org, caller):
    route = place("first")
    form = {"model": route.model, "provider": "fake", "account": route.account_id, "organization": org.pk}
    form |= {"enabled": "on", "settings": "{}", "priority": 3, "weight": 1, "cost_micros_per_second": 7}
    form |= {"max_length_ms": 2000, "cost_by_resolution": "{}", "region": "eu", "resolutions": "480p"}
    address = f"/console/providers/route/{route.pk}/change/"
    assert console.post(address, {**form, "cost_by_resolution": '{"720p": "x"}'}).status_code == 200
    assert console.post(address, form).status_code == 302
    with pytest.raises(Invalid):
        submit(caller, drive.request(org))
    assert AuditEntry.objects.get(action="route.change").after["region"] == "eu"
