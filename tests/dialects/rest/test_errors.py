"""The catalogue of codes is complete and has nothing that is never said."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from accounts import errors as access
from billing import errors as billing
from jobs.dialects.rest.errors import ERRORS, by_status
from jobs.dialects.rest.openapi import document
from jobs.fetch.refusals import MESSAGES

ROOT = Path(__file__).parent.parent.parent.parent
RAISED = {
    *("Invalid", "NotFound", "Conflict", "NoRoute", "Unpayable", "JobError", "QuotaReached", "BillingError"),
    *("MediaRefused", "FetchRefused"),
}
KINDS = ("audio", "video")  # a picture has no length
# Of the console and the dashboard; of other dialects' addresses; no answer to a customer at all.
ELSEWHERE = {
    *{leaf.code for leaf in access.MembershipRefused.__subclasses__()},
    *("membership_refused", "access_refused", "too_many_organizations"),
}


def sources() -> list[Path]:
    files = [path for room in ("accounts", "billing", "jobs") for path in (ROOT / room).rglob("*.py")]
    others = [ROOT / "jobs/dialects" / name for name in ("wavespeed", "dashscope", "inferencesh")]
    others.append(ROOT / "jobs/unknown.py")  # an operator's verbs: the console tells their refusals
    # what only the dashboard does, it tells itself
    others += [
        ROOT / "jobs/views",
        ROOT / "jobs/own_keys.py",
        ROOT / "jobs/shares.py",
        ROOT / "jobs/browse.py",
        ROOT / "jobs/erasing.py",
        ROOT / "jobs/exports.py",
        ROOT / "billing/alerts.py",
    ]
    return [path for path in files if not any(path.is_relative_to(other) for other in others)]


def codes_in(path: Path) -> Iterator[tuple[str, str]]:
    """(code, where) of every refusal that is written down there with its code."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and node.args and _name(node.func) in RAISED:
            for code in _texts(node.args[0]):
                yield code, f"{path.relative_to(ROOT)}:{node.lineno}"


def _name(func: ast.expr) -> str:
    return func.attr if isinstance(func, ast.Attribute) else getattr(func, "id", "")


def _texts(argument: ast.expr) -> list[str]:
    """The texts it can be; a code that is put together begins with a kind of file."""
    if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
        return [argument.value]
    if isinstance(argument, ast.JoinedStr):
        end = argument.values[-1]
        return [f"{kind}{end.value}" for kind in KINDS if isinstance(end, ast.Constant)]
    return []


def test_every_code_that_is_raised_stands_in_the_catalogue():
    found = [entry for path in sources() for entry in codes_in(path)]
    assert len(found) > 60
    assert {(code, where) for code, where in found if code not in ERRORS} == set()


def leaves(base: type) -> list[type]:
    return (
        [base]
        if not base.__subclasses__()
        else [leaf for sub in base.__subclasses__() for leaf in leaves(sub)]
    )


@pytest.mark.parametrize("leaf", leaves(access.AccessError), ids=lambda leaf: leaf.__name__)
def test_so_does_every_reason_to_turn_a_caller_away(leaf):
    assert leaf.code in ELSEWHERE or ERRORS[leaf.code].status == leaf.status


# What orders, quotes and checks of pictures ask; the other rooms of billing are those of payments.
TILL = ("ledger", "posting", "quotas", "quotes", "throttles")
NEVER_A_CUSTOMERS = (billing.LedgerError, billing.CreditSpent)


def test_so_does_every_refusal_of_an_order_by_the_till():
    named = {
        node.id
        for module in TILL
        for node in ast.walk(ast.parse((ROOT / "billing" / f"{module}.py").read_text()))
        if isinstance(node, ast.Name)
    }
    tree = ast.parse(Path(billing.__file__).read_text())
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name in named]
    codes = {
        code
        for node in classes
        if not issubclass(getattr(billing, node.name), NEVER_A_CUSTOMERS)
        for call in ast.walk(node)
        if isinstance(call, ast.Call) and _name(call.func) == "__init__" and call.args
        for code in _texts(call.args[0])
    }
    assert len(codes) >= 5
    assert codes - set(ERRORS) == set()


def test_so_does_every_refusal_of_an_address():
    assert set(MESSAGES) - set(ERRORS) == set()


def test_nothing_stands_there_that_no_operation_says():
    said = {
        code
        for methods in document()["paths"].values()
        for operation in methods.values()
        for answer in operation["responses"].values()
        for code in answer.get("x-codes", ())
    }
    assert set(ERRORS) - said == {"method_not_allowed"}  # of every address, so of no operation


@pytest.mark.parametrize("code", ERRORS)
def test_every_entry_tells_what_it_means_and_what_helps(code):
    entry = ERRORS[code]
    assert 400 <= entry.status <= 599
    assert code == code.lower().replace("-", "_")
    for sentence in (entry.meaning, entry.remedy):
        assert sentence[0].isupper() or sentence[0] == "`"
        assert sentence.endswith(".")


def test_by_status_is_in_order():
    assert by_status(["not_found", "parse_error", "job_not_found"]) == {
        400: ["parse_error"],
        404: ["job_not_found", "not_found"],
    }
