import random
import uuid

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction

from accounts.models import ApiKey
from billing import ledger, ledger_check
from billing.free import Terms
from billing.ledger_check import Difference, check
from billing.models import Account, FreeQuota, Hold, KeySpend, MonthSpend
from tests.billing.conftest import assert_sound, give, hold, in_threads

USD = 1_000_000


@pytest.fixture
def busy(org, api_key):
    """Books with an open, a raised, a lowered, a captured and a released hold."""
    give(org, "100")
    hold(org, "1", key=api_key)
    ledger.raise_hold(hold(org, "1", key=api_key).job_id, 3 * USD)
    lowered = hold(org, "5")
    ledger.raise_hold(lowered.job_id, 2 * USD)
    ledger.capture(lowered.job_id, USD)
    ledger.capture(hold(org, "4", key=api_key).job_id, 3 * USD)
    ledger.release(hold(org, "2", key=api_key).job_id, reason="failed")
    FreeQuota.objects.create(model="m", units=5)
    partly = {"model": "m", "terms": Terms("second", USD, 1000)}
    ledger.release(hold(org, "3", **partly).job_id, reason="failed")
    hold(org, "3", **partly)
    ledger.capture(hold(org, "3", **partly).job_id, 3 * USD)
    return org


def sql(text: str) -> None:
    """Walks round the verbs, and round the trigger, as a broken script or a bad restore would."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SET session_replication_role = replica")
        cursor.execute(text)
        cursor.execute("SET session_replication_role = DEFAULT")


def test_sound_books_have_no_difference(busy):
    assert_sound()


def test_empty_books_have_no_difference(db):
    assert_sound()


CASES = {
    "UPDATE billing_account SET balance_micros = balance_micros + 1 WHERE kind = 'available'": {
        "the accounts of each organization add up to zero",
        "all accounts add up to zero",
        "each balance is the fold of its transfers",
    },
    "UPDATE billing_account SET balance_micros = balance_micros + CASE kind WHEN 'held' THEN 1 ELSE -1 END"
    " WHERE kind IN ('held', 'revenue')": {"each balance is the fold of its transfers"},
    "UPDATE billing_transfer SET amount_micros = amount_micros + 1 WHERE kind = 'grant'": {
        "each balance is the fold of its transfers"
    },
    "DELETE FROM billing_transfer WHERE kind = 'capture'": {
        "each balance is the fold of its transfers",
        "an open hold is held, a resolved one is not",
        "a resolved hold is its capture and its release",
        "a hold's captured amount is what reached revenue",
    },
    "UPDATE billing_hold SET status = 'released', resolved_at = now() WHERE status = 'open'": {
        "an open hold is held, a resolved one is not",
        "a resolved hold is its capture and its release",
        "a key's spend is the fold of the holds of its chain",
        "a month's spend is the fold of its holds",
        "free use is the fold of the holds",
    },
    "UPDATE billing_hold SET amount_micros = amount_micros + 1 WHERE status = 'released'": {
        "a resolved hold is its capture and its release"
    },
    "UPDATE billing_hold SET captured_micros = captured_micros - 1 WHERE status = 'captured'": {
        "a hold's captured amount is what reached revenue",
        "a key's spend is the fold of the holds of its chain",
        "a month's spend is the fold of its holds",
        "the days of use are the fold of the captured holds",
    },
    "UPDATE billing_transfer SET hold_id = NULL WHERE kind = 'release'": {
        "money is held and captured for holds only",
        "an open hold is held, a resolved one is not",
        "a resolved hold is its capture and its release",
    },
    "UPDATE billing_transfer SET job_id = gen_random_uuid() WHERE kind = 'hold'": {
        "money is held and captured for holds only"
    },
    "DELETE FROM billing_keyspend": {"a key's spend is the fold of the holds of its chain"},
    "UPDATE billing_keyspend SET spent_micros = spent_micros + 1": {
        "a key's spend is the fold of the holds of its chain"
    },
    "UPDATE billing_monthspend SET held_micros = held_micros + 1": {
        "a month's spend is the fold of its holds"
    },
    "UPDATE billing_freeuse SET held = held + 1": {"free use is the fold of the holds"},
    "UPDATE billing_hold SET free = 0 WHERE status = 'captured'": {
        "free use is the fold of the holds",
        "the days of use are the fold of the captured holds",
    },
    "DELETE FROM billing_freeuse": {"free use is the fold of the holds"},
    "UPDATE billing_dayuse SET jobs = jobs + 1": {"the days of use are the fold of the captured holds"},
    "DELETE FROM billing_dayuse": {"the days of use are the fold of the captured holds"},
    "DELETE FROM billing_monthspend": {"a month's spend is the fold of its holds"},
}


@pytest.mark.parametrize("damage", CASES)
def test_each_damage_is_named(busy, damage):
    sql(damage)
    assert {difference.rule for difference in check()} == CASES[damage]


def test_a_transfer_between_organizations_is_found(busy, other_org):
    give(other_org, "1")
    mine = Account.objects.get(organization=busy, kind="available")
    theirs = Account.objects.get(organization=other_org, kind="available")
    sql(f"UPDATE billing_transfer SET credit_id = {theirs.pk} WHERE credit_id = {mine.pk} AND kind = 'grant'")
    assert "a transfer stays within its organization" in {difference.rule for difference in check()}


def test_every_rule_has_a_case_that_breaks_it():
    covered = set().union(*CASES.values()) | {"a transfer stays within its organization"}
    assert covered == set(ledger_check.RULES)


def test_a_difference_says_what_and_how_much(busy):
    spend = KeySpend.objects.get()
    KeySpend.objects.update(spent_micros=7)
    assert check() == [
        Difference(
            "a key's spend is the fold of the holds of its chain", f"key {spend.key_id} spent", 3 * USD, 7
        )
    ]


def test_a_forgotten_hold_is_reported_when_somebody_knows_of_it(busy):
    forgotten = Hold.objects.open().first()
    found = check(over=lambda jobs: [job for job in jobs if job == forgotten.job_id])
    assert [(difference.rule, difference.found) for difference in found] == [
        ("a job that is over holds nothing", forgotten.amount_micros)
    ]
    assert check() == []


def test_the_command_prints_what_it_verified(busy, capsys):
    call_command("check_ledger")
    out = capsys.readouterr().out
    assert out.count("ok ") == len(ledger_check.RULES)
    assert "15 transfers, 8 holds" in out


def test_the_command_fails_on_a_difference(busy, capsys):
    MonthSpend.objects.update(spent_micros=7)
    with pytest.raises(CommandError) as failure:
        call_command("check_ledger")
    assert failure.value.returncode == 1
    out = capsys.readouterr()
    assert "DIFFERS  a month's spend is the fold of its holds" in out.out
    assert "should be 5000000, is 7" in out.err


def test_the_task_logs_differences(busy, caplog):
    MonthSpend.objects.update(spent_micros=7)
    ledger_check.check_ledger()
    assert "should be 5000000, is 7" in caplog.text


@pytest.mark.django_db(transaction=True)
def test_it_sees_whole_transactions_while_jobs_run(org, key):
    """Four threads move money all the while; no check may see half of a posting."""
    api_key = ApiKey.objects.get(organization=org)
    give(org, "1000")

    def work(index: int) -> int:
        if index == 0:
            return sum(len(check()) for _ in range(40))
        dice = random.Random(index)
        for _ in range(80):
            job_id = uuid.uuid4()
            with transaction.atomic():
                ledger.hold(org, job_id=job_id, amount_micros=dice.randint(1, USD), key=api_key)
            with transaction.atomic():
                ledger.capture(job_id, dice.randint(1, USD))
        return 0

    assert sum(in_threads(5, work)) == 0
