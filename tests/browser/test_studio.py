"""The studio in a real browser against the whole platform: from files to a video, without a reload."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Route, expect

from tests.browser.test_first_video import DURATION, PLAYED
from tests.browser.workshop import FIT, RENDERED_MS, S2V, SAMPLES, SHIFT, Workshop

# A microphone that is given, and a browser that cannot record from it.
NO_RECORDER = """() => {
    window.streams = [];
    const given = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
    navigator.mediaDevices.getUserMedia = async asked => { streams.push(await given(asked)); return streams.at(-1); };
    window.MediaRecorder = class { constructor() { throw new DOMException("no", "NotSupportedError"); } };
}"""


@pytest.fixture(autouse=True)
def _patience():
    """A look at a picture takes a process of its own, and the machine may be busy."""
    expect.set_options(timeout=20_000)
    yield
    expect.set_options(timeout=5_000)


@pytest.fixture
def workshop(person, live_stack, account) -> Workshop:
    return Workshop(person, live_stack, account)


def test_files_become_a_video_at_the_price_that_was_shown_and_nothing_reloads(workshop):
    page = workshop.page
    page.evaluate("window.stillHere = true")
    expect(workshop.generate).to_be_disabled()
    workshop.choose(workshop.picture, SAMPLES / "portrait.jpg")
    expect(workshop.picture.get_by_text(FIT)).to_be_visible()
    expect(page.locator('[data-part="sum"]')).to_have_text("The price appears with your voice.")
    workshop.choose(workshop.voice, SAMPLES.parent.parent / "static/studio/voice.mp3")
    expect(page.locator('[data-part="total"]')).to_have_text("$0.15")
    workshop.advanced()
    page.get_by_label("Frames in a clip").fill("10")  # many clips
    page.get_by_role("button", name="Generate · $0.15").click()
    expect(page.get_by_text("at most $0.15")).to_be_visible()

    # Clips play while later ones are still being made, and the film goes on from there.
    page.get_by_role("button", name="Play what is ready").click(timeout=RENDERED_MS)
    expect(page.get_by_text(re.compile("clip [0-9]+ of 1[23]"))).to_be_visible()
    video = page.locator("article video")
    clip = video.evaluate("video => video.src")
    assert re.search(r"/studio/jobs/[0-9a-f-]+/clips/[0-9]+$", clip)
    expect(page.get_by_role("link", name="Download")).to_be_visible(timeout=RENDERED_MS)
    assert "/files/" in video.evaluate("video => video.src")
    assert video.evaluate(DURATION) == pytest.approx(4.8, abs=0.2)
    assert video.evaluate(PLAYED) > 0

    assert workshop.charged() == [150_000]
    expect(page.locator(".balance")).to_contain_text("$19.85")
    assert page.evaluate("window.stillHere") is True
    assert page.evaluate(SHIFT) <= 0.02
    page.goto(page.url)  # ?job=...: who comes back finds it
    expect(page.get_by_role("link", name="Download")).to_be_visible()


def test_a_file_can_be_dropped_pasted_and_picked_again(workshop):
    workshop.hand_over(".slot.image", "drop", SAMPLES / "portrait.jpg", "image/jpeg")
    expect(workshop.picture.get_by_alt_text("Your picture")).to_be_visible()
    workshop.picture.get_by_role("button", name="Remove").click()
    workshop.hand_over("body", "paste", SAMPLES / "portrait.jpg", "image/jpeg")
    expect(workshop.picture.get_by_alt_text("Your picture")).to_be_visible()
    workshop.picture.get_by_role("button", name="Remove").click()
    workshop.picture.get_by_role("button", name="From your files").click()
    dialog = workshop.page.get_by_role("dialog", name="Your files")
    expect(dialog.get_by_role("button", name="portrait.jpg")).to_have_count(2)
    dialog.get_by_role("button", name="portrait.jpg").first.click()
    expect(workshop.picture.get_by_text(FIT)).to_be_visible()
    assert len(workshop.files("image")) == 2  # nothing was uploaded again


def test_what_is_fetched_says_so_and_the_last_choice_stays(workshop, complaints):
    page = workshop.page
    workshop.fit()
    workshop.choose(workshop.picture, SAMPLES / "portrait.jpg")
    expect(workshop.picture.get_by_text(FIT)).to_be_visible()
    workshop.picture.get_by_role("button", name="Remove").click()
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/studio/files?kind=image", hold)
    workshop.picture.get_by_role("button", name="From your files").click()
    expect(page.get_by_text("Looking for your files…")).to_be_visible()
    held.pop().continue_()
    page.route(re.compile(r"/studio/files/[0-9a-f-]{36}$"), hold)
    page.get_by_role("dialog", name="Your files").get_by_role("button", name="portrait.jpg").click()
    expect(workshop.picture.get_by_text("Fetching the file…")).to_be_visible()
    workshop.hand_over("body", "paste", SAMPLES / "portrait.jpg", "image/jpeg")
    expect(workshop.picture.get_by_text(FIT)).to_be_visible()
    shown = workshop.picture.get_by_alt_text("Your picture").get_attribute("src")
    held.pop().fulfill(path=SAMPLES / "portrait.jpg")  # the one that was chosen first comes last
    page.evaluate("fetch('/healthz')")
    expect(workshop.picture.get_by_alt_text("Your picture")).to_have_attribute("src", shown)
    expect(workshop.generate).to_be_disabled()
    assert len(workshop.files("image")) == 2

    code = page.get_by_role("dialog", name="The same order as code")
    page.route("**/code", hold)
    page.get_by_role("button", name="Show code").click()
    expect(code.get_by_text("Writing the code…")).to_be_visible()
    held.pop().continue_()
    expect(code.get_by_role("alert")).to_contain_text("Choose the voice first.")
    complaints.clear()  # of the refused code


def test_the_voice_from_the_picker_is_the_wave_of_a_file_that_was_here(workshop):
    workshop.choose(workshop.voice, SAMPLES / "speech.wav")
    expect(workshop.voice.get_by_text("12.5 s")).to_be_visible()
    workshop.voice.get_by_role("button", name="Remove").click()
    workshop.voice.get_by_role("button", name="From your files").click()
    workshop.page.get_by_role("button", name="speech.wav, 12.5 s").click()
    expect(workshop.voice.get_by_text("12.5 s")).to_be_visible()


def test_an_upload_can_be_stopped_and_what_is_no_media_is_told(workshop, complaints, tmp_path):
    page = workshop.page
    page.route("**/studio/files", lambda route: None)  # a line that never gets it through
    workshop.choose(workshop.picture, SAMPLES / "portrait.jpg")
    workshop.picture.get_by_role("button", name="Cancel the upload").click()
    expect(workshop.picture.get_by_text("Choose a file")).to_be_visible()
    page.unroute("**/studio/files")
    text = tmp_path / "poem.jpg"
    text.write_text("roses are red")
    workshop.choose(workshop.picture, text)
    expect(workshop.picture.get_by_role("alert")).to_contain_text("text file")
    complaints.clear()  # of the refused upload


def test_the_crop_is_what_is_looked_at_and_filmed_by_keys_and_by_hand(workshop):
    page = workshop.page
    workshop.choose(workshop.picture, SAMPLES / "portrait.jpg")
    expect(workshop.picture.get_by_text(FIT)).to_be_visible()
    with page.expect_response("**/verdict"):
        workshop.picture.get_by_role("button", name="Crop").click()
    cropped = workshop.files("image")[0]
    assert (cropped["width"], cropped["height"]) == (461, 461)  # nine tenths

    crop = page.get_by_role("group", name="Crop")
    crop.focus()
    with page.expect_response("**/verdict"):
        page.keyboard.press("Shift+ArrowLeft")
        page.keyboard.press("ArrowUp")
    assert (workshop.files("image")[0]["width"], workshop.files("image")[0]["height"]) == (451, 461)

    corner = crop.locator('[data-edge="se"]').bounding_box()
    x, y = corner["x"] + corner["width"] / 2, corner["y"] + corner["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    with page.expect_response("**/verdict"):
        page.mouse.move(x - 60, y - 60)
        page.mouse.up()
    small = workshop.files("image")[0]
    assert small["width"] < 400
    expect(workshop.picture.get_by_role("status")).to_contain_text("pixels")  # the detector says: too small
    with page.expect_response(lambda got: got.request.method == "DELETE"):
        workshop.picture.get_by_role("button", name="Undo the crop").click()
    expect(workshop.picture.get_by_text(FIT)).to_be_visible()
    assert [file["name"] for file in workshop.files("image")] == [
        "portrait.jpg"
    ]  # parts leave nothing behind


def test_the_voice_is_trimmed_by_keys_and_so_is_its_price(workshop):
    page = workshop.page
    workshop.choose(workshop.picture, SAMPLES / "portrait.jpg")
    workshop.choose(workshop.voice, SAMPLES / "speech.wav")
    expect(page.locator('[data-part="total"]')).to_have_text("$0.39")
    page.get_by_label("End at, seconds").focus()
    page.keyboard.press("Home")
    for _ in range(38):
        page.keyboard.press("ArrowRight")
    expect(workshop.voice.get_by_text("4.0 s")).to_be_visible()
    expect(page.locator('[data-part="total"]')).to_have_text("$0.12")
    assert workshop.files("audio")[0]["duration_ms"] == pytest.approx(4000, abs=5)


def test_a_voice_is_recorded_here(workshop):
    workshop.voice.get_by_role("button", name="Record").click()
    expect(workshop.voice.get_by_text("0:01")).to_be_visible()
    workshop.voice.get_by_role("button", name="Stop and use it").click()
    expect(workshop.voice.get_by_role("button", name="Listen")).to_be_visible()
    recorded = workshop.files("audio")[0]
    assert recorded["name"] == "recording.wav"
    assert 700 < recorded["duration_ms"] < 10_000

    workshop.voice.get_by_role("button", name="Remove").click()
    page = workshop.page
    page.evaluate(NO_RECORDER)
    workshop.voice.get_by_role("button", name="Record").click()
    expect(workshop.voice.get_by_role("alert")).to_contain_text("The microphone cannot be used.")
    assert page.evaluate("streams.flatMap(stream => stream.getTracks()).map(track => track.readyState)") == [
        "ended"
    ]


def test_a_canceled_video_costs_nothing_and_says_so(workshop, complaints):
    page = workshop.page
    workshop.pretend()
    page.get_by_label("Prompt").fill("[fake stall]")  # a render that never ends by itself
    workshop.samples()
    page.route("**/events", lambda route: route.abort())  # the stream breaks at first, and is taken up again
    workshop.generate.click()
    page.get_by_role("button", name="Cancel, free of charge").wait_for()
    page.unroute("**/events")
    page.get_by_role("button", name="Cancel, free of charge").click()
    expect(page.get_by_text("Canceled", exact=True).first).to_be_visible(timeout=RENDERED_MS)
    expect(page.get_by_text("Free", exact=True)).to_be_visible()
    expect(page.locator(".balance")).to_contain_text("$20.00")
    complaints.clear()  # of the broken stream


@pytest.fixture
def broke(page, live_stack) -> Workshop:
    """A person without credit."""
    account = live_stack.create_org("Penniless", credit_usd=0)
    page.goto(f"{live_stack.url}/accounts/login/")
    page.get_by_label("Email").fill(account["login"])
    page.get_by_label("Password").fill(account["password"])
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(lambda url: "/accounts/" not in url)
    return Workshop(page, live_stack, account)


def test_without_credit_the_page_says_so_and_where_it_is_bought_and_the_preview_is_free(broke):
    page = broke.page
    page.get_by_role("button", name="Use the sample").click()
    problem = page.get_by_role("alert").filter(has_text="This costs $0.15, and $0.00 of credit is left.")
    expect(problem.get_by_role("link", name="Add credit")).to_have_attribute("href", "/billing")
    expect(broke.generate).to_be_disabled()

    page.get_by_role("button", name="Free preview").click()
    expect(page.get_by_text("Free preview: our CPU engine")).to_be_visible()
    expect(page.get_by_role("link", name="Download")).to_be_visible(timeout=RENDERED_MS)
    assert page.locator("article video").evaluate(DURATION) == pytest.approx(4.8, abs=0.2)
    expect(page.locator("article").get_by_text("Free", exact=True)).to_be_visible()
    assert broke.charged() == [0]
    page.goto(page.url)  # ?job=...: a preview is found again as well
    expect(page.get_by_text("Free preview: our CPU engine")).to_be_visible()


def test_a_wrong_option_is_told_at_its_field(workshop, complaints):
    workshop.samples()
    workshop.advanced()
    fps = workshop.page.get_by_label("Frames a second")
    fps.fill("900")
    expect(workshop.page.get_by_text("fps must be a whole number from 8 to 30")).to_be_visible()
    expect(fps).to_have_attribute("aria-invalid", "true")
    expect(workshop.generate).to_be_disabled()
    fps.fill("12")
    expect(workshop.generate).to_be_enabled()
    expect(fps).not_to_have_attribute("aria-invalid", "true")
    complaints.clear()  # of the refused quote


def test_a_cut_line_keeps_what_was_chosen_and_the_price_comes_back(workshop, complaints):
    workshop.samples()
    workshop.page.context.set_offline(True)
    workshop.page.get_by_label("Prompt").fill("A calm newsreader")
    expect(workshop.page.get_by_text("No connection to Voicereel.").last).to_be_visible()
    workshop.page.context.set_offline(False)
    expect(workshop.generate).to_be_enabled()
    complaints.clear()  # of the cut line


def test_variants_are_priced_rendered_and_played_together(workshop, complaints):
    page = workshop.page
    workshop.gold()
    workshop.pretend()
    workshop.samples()
    workshop.advanced()
    page.get_by_label("Seed").fill("40")
    page.get_by_role("radio", name="2", exact=True).check(force=True)
    page.get_by_role("button", name="Generate 2 videos · $0.30").click()
    expect(page.get_by_text("Variant 1, seed 40")).to_be_visible()
    expect(page.get_by_text("Variant 2, seed 41")).to_be_visible()
    page.get_by_role("button", name="Play all").click(timeout=RENDERED_MS)
    expect(page.get_by_role("button", name="Pause all")).to_be_visible()
    page.get_by_role("button", name="Pause all").click()
    page.get_by_label("Position in all videos").evaluate(
        "slider => { slider.value = slider.max / 2; slider.dispatchEvent(new Event('input')); }"
    )
    times = page.locator("article video").evaluate_all("videos => videos.map(video => video.currentTime)")
    assert len(times) == 2
    assert times[0] == pytest.approx(times[1], abs=0.1)
    assert times[0] > 0
    assert page.locator("article video").evaluate_all("videos => videos.map(v => v.muted)") == [False, True]
    assert workshop.charged() == [150_000, 150_000]
    seeds = "SELECT options ->> 'seed' FROM jobs_job WHERE organization_id = %s ORDER BY id"
    assert workshop.stack.sql(seeds, workshop.account["organization"]) == [("40",), ("41",)]

    # A refused order leaves what is there; who comes back finds all of it, the form too.
    refusal = {"code": "insufficient_funds", "message": "All of it is spent.", "next": "Ask for more."}
    page.route("**/wan-2.2-s2v/jobs", lambda route: route.fulfill(status=402, json=refusal))
    page.get_by_role("button", name="Generate 2 videos").click()
    expect(page.get_by_role("alert").filter(has_text="All of it is spent.")).to_be_visible()
    expect(page.locator("article video")).to_have_count(2)
    page.goto(page.url)
    expect(page.get_by_text("Variant 2, seed 41")).to_be_visible()
    expect(page.get_by_role("button", name="Play all")).to_be_visible()
    expect(page.get_by_role("button", name="Generate 2 videos · $0.30")).to_be_enabled()
    complaints.clear()  # of the refused order


def test_the_studio_is_light(person, live_stack):
    """All that a page loads before a file is chosen, as it goes over the line to who comes for the first time."""
    sizes: dict[str, int] = {}
    # What is announced, since of a file out of its cache the browser tells no size.
    # The note on what is degraded has no content where nothing is.
    person.on(
        "response",
        lambda got: got.status != 204 and sizes.update({got.url: int(got.headers.get("content-length", 0))}),
    )
    for path in ("/studio", S2V):
        sizes.clear()
        person.goto(live_stack.url + path, wait_until="networkidle")
        assert min(sizes.values()) > 0, sizes
        assert 20_000 < sum(sizes.values()) <= 150_000, sizes
