"""The pages under /docs: for everybody, whole, strict about styles, linked, and there when a store is away."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from django.db import connection
from django.test import Client

from config.docs import facts, markdown, pages, reference
from config.docs.pages import FOLDER, PAGES, WRITTEN
from jobs.dialects.rest.errors import ERRORS, FAILURES, UNFIT
from providers.errors import AccountRefused, Refused, Throttled, Unavailable, Unsuitable
from providers.failures import FAILURES as SAID

ROOT = Path(__file__).parent.parent.parent
NOWHERE = "redis://127.0.0.1:1/0"

pytestmark = pytest.mark.django_db


class Seen(HTMLParser):
    """The links, anchors and odd attributes of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: list[str] = []
        self.inline: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.links += [given["href"]] if tag == "a" else []
        self.anchors += [given["id"]] if "id" in given else []
        self.inline += [name for name in given if name == "style" or name.startswith("on")]
        self.inline += [tag] if tag == "style" or (tag == "script" and "src" not in given) else []


@pytest.fixture(autouse=True)
def _fresh():
    pages._kept.clear()


@pytest.fixture(scope="module")
def site(django_db_setup, django_db_blocker) -> dict[str, Seen]:
    """Every address of the site, and what stands there."""
    with django_db_blocker.unblock():
        return {address: Seen(Client().get(address).content.decode()) for address in addresses()}


def addresses() -> list[str]:
    groups = [group.slug for group in reference.document().groups]
    return [page.address for page in PAGES] + [f"/docs/api/{slug}" for slug in (*groups, reference.SCHEMAS)]


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_a_page_is_whole(client, page):
    answer = client.get(page.address)
    html = answer.content.decode()
    assert answer.status_code == 200
    assert "<title>" in html
    assert re.search(r'<meta name="description" content="[^"]{20,}"', html)
    assert html.count("<h1>") == 1
    assert f'href="{page.address}" aria-current="page"' in html
    before, after = pages.neighbours(page)
    assert ('rel="prev"' in html, 'rel="next"' in html) == (bool(before), bool(after))
    assert "{{" not in html.replace("{{ request", "")


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_no_page_needs_what_our_policy_forbids(client, page):
    answer = client.get(page.address)
    assert Seen(answer.content.decode()).inline == []
    assert "'unsafe-inline'" not in answer["Content-Security-Policy"]


def test_the_reference_shows_every_operation_and_schema(site):
    raw = json.loads(reference.FILE.read_text())
    wanted = {found["operationId"] for methods in raw["paths"].values() for found in methods.values()}
    shown = {
        anchor for group in reference.document().groups for anchor in site[f"/docs/api/{group.slug}"].anchors
    }
    assert wanted <= shown
    assert set(raw["components"]["schemas"]) <= set(site["/docs/api/schemas"].anchors)


def test_every_code_has_its_place(site):
    """What `type` of a problem promises."""
    assert {*ERRORS, *FAILURES} <= set(site["/docs/errors"].anchors)


RAISED = re.compile(r'\b(?:Failure|RenderError|_unfit)\(\s*"([a-z_]+)"')


def test_every_code_by_which_a_job_can_fail_is_explained():
    rooms = [path for room in ("jobs", "providers/local") for path in (ROOT / room).rglob("*.py")]
    raised = {code for path in rooms for code in RAISED.findall(path.read_text())}
    raised |= {kind.code for kind in (Refused, Unsuitable, AccountRefused, Throttled, Unavailable)} | {*SAID}
    assert {"face_not_found", "output_unusable", "engine_failed"} <= raised
    assert raised - {*ERRORS, *FAILURES, *UNFIT} == set()


def test_every_link_leads_somewhere(client, site):
    lost = []
    for address, seen in site.items():
        for link in seen.links:
            path, _, anchor = link.partition("#")
            path = path or address
            if path.startswith("http"):
                continue
            if path.startswith("/docs"):
                found = path in site and (not anchor or anchor in site[path].anchors)
            else:
                found = client.get(path).status_code in {200, 302}
            lost += [] if found else [(address, link)]
    assert lost == []


def test_anchors_are_unique(site):
    assert [a for a, seen in site.items() if len(seen.anchors) != len(set(seen.anchors))] == []


def test_what_is_not_there_is_told_with_the_way_on(client):
    for path in ("/docs/nope", "/docs/nope/deeper", "/docs/../settings.py", "/docs/api/nope"):
        answer = client.get(path)
        assert answer.status_code == 404
    assert 'href="/docs/quick-start"' in client.get("/docs/nope").content.decode()
    assert client.get("/docs/").status_code == 200
    assert client.post("/docs").status_code == 405


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_pages_do_without_redis_and_the_store(client, page, settings):
    settings.REDIS_URL = NOWHERE
    settings.CACHES = {"default": {**settings.CACHES["default"], "LOCATION": NOWHERE}}
    settings.S3_STORAGE = {}
    assert client.get(page.address).status_code == 200


def test_a_database_that_is_away_costs_tables_not_pages(client, monkeypatch):
    monkeypatch.setitem(connection.settings_dict, "NAME", "no_such_database")
    with connection.execute_wrapper(_away):
        html = client.get("/docs/limits").content.decode()
    assert "cannot be read at the moment" in html
    assert "gold" in client.get("/docs/limits").content.decode()  # it was not kept


def _away(execute, sql, params, many, context):
    from django.db import OperationalError

    raise OperationalError("the server is gone")


def test_facts_are_read_and_not_typed(client, settings):
    settings.UPLOAD_MAX_BYTES = 7 * 1024**2
    settings.PUBLIC_URL = "https://video.example.com"
    assert "7 MiB" in client.get("/docs/limits").content.decode()
    html = client.get("/docs/quick-start").content.decode()
    assert "https://video.example.com" in re.sub("<[^>]*>", "", html)


def test_every_fact_is_told_and_none_is_unknown():
    named = {name for page in WRITTEN for name in facts.NAME.findall(page.file.read_text())}
    assert named == set(facts.FACTS)


def test_every_file_has_its_page():
    assert {path.name for path in FOLDER.glob("*.md")} == {page.file.name for page in WRITTEN}


def test_the_search_knows_every_page(client):
    entries = client.get("/docs/search.json").json()["entries"]
    assert {entry["address"].partition("#")[0] for entry in entries} >= {page.address for page in PAGES}
    found = next(entry for entry in entries if entry["heading"] == "Idempotency")
    assert found["address"] == "/docs/jobs#idempotency"


def test_a_signed_in_person_keeps_their_frame(alice_browser):
    html = alice_browser.get("/docs").content.decode()
    assert "Acme" in html
    assert re.search(r'<a href="/docs" aria-current="page">Docs</a>', html)


def test_html_in_a_text_is_shown_and_not_obeyed():
    found = markdown.render("# T\n\n<script>alert(1)</script> [x](javascript:alert(1))\n")
    assert "<script" not in found.html
    assert 'href="javascript' not in found.html


PYTHON = [
    pytest.param(example.code, id=f"{page.slug}-{number}")
    for page in WRITTEN
    for number, example in enumerate(markdown.examples(page.file.read_text()))
    if example.language == "python"
]


def test_the_python_in_the_pages_is_formatted(tmp_path):
    for number, case in enumerate(PYTHON):
        (tmp_path / f"{number}.py").write_text(case.values[0])
    ruff = str(Path(sys.executable).with_name("ruff"))
    command = [ruff, "format", "--diff", "--isolated", "--line-length", "110", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_pages_are_packed_for_browsers_and_nothing_else_is(client, db):
    packed = client.get("/docs/errors", headers={"Accept-Encoding": "gzip"})
    assert packed["Content-Encoding"] == "gzip"
    plain = client.get("/docs/errors")
    assert len(packed.content) < len(plain.content) / 3
    assert not client.get("/docs/search.json", headers={"Accept-Encoding": "gzip"}).has_header(
        "Content-Encoding"
    )
