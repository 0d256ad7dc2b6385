"""The ledger's verbs, one after the other. What happens at the same time is in test_ledger_races.py."""

import uuid
from datetime import date, timedelta

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.db.transaction import TransactionManagementError

from accounts import keys
from accounts.models import BillingMode
from billing import ledger
from billing.errors import (
    AlreadyResolved,
    BudgetReached,
    HoldMismatch,
    HoldMissing,
    InsufficientFunds,
    ReferenceTaken,
    SpendCapReached,
)
from billing.models import Account, Hold, KeySpend, Limits, MonthSpend, Transfer
from billing.money import parse_usd
from tests.billing.conftest import assert_sound, books, give, hold

USD = 1_000_000


@pytest.fixture(autouse=True)
def _funded(org):
    give(org, "10")
    yield
    assert_sound()


def posted(organization) -> list[tuple[str, int]]:
    return [
        (t.reference.replace(str(t.job_id), "<job>"), t.amount_micros) for t in ledger.history(organization)
    ][:-1][::-1]


class TestHold:
    def test_it_moves_money_aside(self, org, api_key):
        held = hold(org, "4", key=api_key, model="wan-2.2-s2v")
        assert books(org) == (6 * USD, 4 * USD)
        assert posted(org) == [("hold:<job>", 4 * USD)]
        stored = Hold.objects.get()
        assert (stored.pk, stored.created_at, stored.month) == (held.pk, held.created_at, held.month)
        assert (stored.status, stored.funding, stored.key, stored.model) == (
            "open",
            "prepaid",
            api_key,
            "wan-2.2-s2v",
        )
        assert stored.month == stored.created_at.date().replace(day=1)

    def test_it_takes_few_statements(self, org, api_key, django_assert_num_queries):
        with django_assert_num_queries(1):
            ledger.hold(org, job_id=uuid.uuid4(), amount_micros=USD, key=api_key)

    def test_the_last_cent_may_be_held_and_none_more(self, org):
        with pytest.raises(InsufficientFunds) as refusal:
            hold(org, "10.000001")
        assert (refusal.value.code, refusal.value.retryable) == ("insufficient_funds", False)
        assert (refusal.value.needed_micros, refusal.value.available_micros) == (10 * USD + 1, 10 * USD)
        assert "10.000001 USD" in refusal.value.message
        assert Hold.objects.count() == 0
        hold(org, "10")
        assert books(org) == (0, 10 * USD)

    def test_a_refusal_leaves_the_callers_transaction_usable(self, org):
        with transaction.atomic():
            with pytest.raises(InsufficientFunds):
                ledger.hold(org, job_id=uuid.uuid4(), amount_micros=11 * USD)
            ledger.hold(org, job_id=uuid.uuid4(), amount_micros=USD)
        assert books(org) == (9 * USD, USD)

    def test_the_same_hold_again_posts_nothing(self, org):
        first = hold(org, "4")
        again = ledger.hold(org, job_id=first.job_id, amount_micros=4 * USD)
        assert again == first
        assert books(org) == (6 * USD, 4 * USD)

    def test_another_hold_for_the_same_job_is_a_mistake(self, org, other_org):
        first = hold(org, "4")
        with pytest.raises(HoldMismatch):
            ledger.hold(org, job_id=first.job_id, amount_micros=5 * USD)
        with pytest.raises(HoldMismatch):
            ledger.hold(other_org, job_id=first.job_id, amount_micros=4 * USD)
        ledger.release(first.job_id, reason="")
        with pytest.raises(AlreadyResolved):
            ledger.hold(org, job_id=first.job_id, amount_micros=4 * USD)

    def test_an_organization_that_never_had_money_is_refused(self, other_org):
        with pytest.raises(InsufficientFunds):
            hold(other_org, "0.01")
        assert books(other_org) == (0, 0)

    def test_nothing_may_be_held_for_a_free_job(self, other_org):
        free = hold(other_org, "0")
        assert ledger.capture(free.job_id, 0) == 0
        assert Transfer.objects.filter(organization=other_org).count() == 0

    def test_a_negative_hold_is_refused(self, org):
        with pytest.raises(ValueError, match="negative"):
            hold(org, "-1")

    def test_other_organizations_money_is_out_of_reach(self, org, other_org):
        give(other_org, "1")
        hold(org, "10")
        with pytest.raises(InsufficientFunds):
            hold(org, "0.01")
        assert books(other_org) == (USD, 0)


class TestPostpaid:
    @pytest.fixture(autouse=True)
    def _postpaid(self, org):
        org.billing_mode = BillingMode.POSTPAID
        org.save()
        Limits.objects.create(organization=org, credit_limit_micros=5 * USD)

    def test_the_credit_limit_is_the_floor(self, org):
        held = hold(org, "15")
        assert held.funding == "postpaid"
        assert books(org) == (-5 * USD, 15 * USD)
        with pytest.raises(InsufficientFunds):
            hold(org, "0.000001")

    def test_the_mode_is_frozen_on_the_hold(self, org):
        held = hold(org, "12")
        org.billing_mode = BillingMode.PREPAID
        org.save()
        ledger.raise_hold(held.job_id, 15 * USD)
        with pytest.raises(InsufficientFunds):
            ledger.raise_hold(held.job_id, 16 * USD)
        with pytest.raises(InsufficientFunds):
            hold(org, "0.01")

    def test_credit_does_not_help_a_prepaid_organization(self, org):
        org.billing_mode = BillingMode.PREPAID
        org.save()
        with pytest.raises(InsufficientFunds):
            hold(org, "10.01")


class TestRaise:
    def test_more_is_held(self, org):
        held = hold(org, "1")
        assert ledger.raise_hold(held.job_id, 3 * USD).amount_micros == 3 * USD
        ledger.raise_hold(held.job_id, 4 * USD)
        assert books(org) == (6 * USD, 4 * USD)
        assert posted(org)[1:] == [("hold:<job>:raise:1", 2 * USD), ("hold:<job>:raise:2", USD)]

    def test_less_gives_the_rest_back(self, org):
        held = hold(org, "5")
        ledger.raise_hold(held.job_id, 2 * USD)
        assert books(org) == (8 * USD, 2 * USD)
        ledger.capture(held.job_id, 2 * USD)
        assert books(org) == (8 * USD, 0)

    def test_the_same_amount_again_posts_nothing(self, org):
        held = hold(org, "1")
        ledger.raise_hold(held.job_id, 2 * USD)
        ledger.raise_hold(held.job_id, 2 * USD)
        assert len(posted(org)) == 2

    def test_what_is_not_there_cannot_be_held(self, org):
        held = hold(org, "1")
        with pytest.raises(InsufficientFunds) as refusal:
            ledger.raise_hold(held.job_id, 10 * USD + 1)
        assert refusal.value.needed_micros == 9 * USD + 1
        assert books(org) == (9 * USD, USD)

    def test_a_resolved_hold_is_not_raised(self, org):
        held = hold(org, "1")
        ledger.capture(held.job_id, USD)
        with pytest.raises(AlreadyResolved):
            ledger.raise_hold(held.job_id, 2 * USD)

    def test_a_job_without_a_hold_has_none_to_raise(self):
        with pytest.raises(HoldMissing):
            ledger.raise_hold(uuid.uuid4(), USD)


class TestCapture:
    def test_it_takes_the_price_and_returns_the_rest(self, org):
        held = hold(org, "4")
        assert ledger.capture(held.job_id, 3 * USD) == 3 * USD
        assert books(org) == (7 * USD, 0)
        assert posted(org)[1:] == [("capture:<job>", 3 * USD), ("release:<job>", USD)]
        stored = Hold.objects.get()
        assert (stored.status, stored.captured_micros) == ("captured", 3 * USD)
        assert stored.resolved_at is not None

    def test_never_more_than_was_held(self, org, caplog):
        held = hold(org, "4")
        assert ledger.capture(held.job_id, 9 * USD) == 4 * USD
        assert books(org) == (6 * USD, 0)
        assert "captured at the hold" in caplog.text

    def test_nothing_is_captured_for_nothing(self, org):
        held = hold(org, "4")
        assert ledger.capture(held.job_id, 0) == 0
        assert books(org) == (10 * USD, 0)
        assert Hold.objects.get().status == "captured"

    def test_again_it_answers_the_first_amount_and_posts_nothing(self, org):
        held = hold(org, "4")
        ledger.capture(held.job_id, 3 * USD)
        assert ledger.capture(held.job_id, USD) == 3 * USD
        assert books(org) == (7 * USD, 0)

    def test_after_a_release_it_is_refused(self, org):
        held = hold(org, "4")
        ledger.release(held.job_id, reason="failed")
        with pytest.raises(AlreadyResolved) as refusal:
            ledger.capture(held.job_id, USD)
        assert refusal.value.code == "hold_resolved"
        assert books(org) == (10 * USD, 0)

    def test_a_job_without_a_hold_cannot_be_charged(self):
        with pytest.raises(HoldMissing):
            ledger.capture(uuid.uuid4(), USD)

    def test_it_takes_few_statements(self, org, api_key, django_assert_num_queries):
        held = hold(org, "4", key=api_key)
        with django_assert_num_queries(4):
            ledger.capture(held.job_id, USD)


class TestRelease:
    def test_it_returns_everything(self, org):
        held = hold(org, "4")
        ledger.release(held.job_id, reason="face_not_found")
        assert books(org) == (10 * USD, 0)
        assert ledger.history(org)[0].note == "face_not_found"

    def test_again_it_posts_nothing(self, org):
        held = hold(org, "4")
        ledger.release(held.job_id, reason="")
        ledger.release(held.job_id, reason="")
        assert len(posted(org)) == 2

    def test_after_a_capture_it_is_refused(self, org):
        held = hold(org, "4")
        ledger.capture(held.job_id, USD)
        with pytest.raises(AlreadyResolved):
            ledger.release(held.job_id, reason="")
        assert books(org) == (9 * USD, 0)


class TestMoneyIn:
    @pytest.mark.parametrize("verb", [ledger.grant, ledger.topup])
    def test_a_reference_is_paid_once(self, org, alice, verb):
        first = verb(org, USD, reference="invoice 7", reason="thanks", actor=alice)
        again = verb(org, USD, reference="invoice 7", reason="thanks")
        assert again == first
        assert books(org) == (11 * USD, 0)
        assert (first.actor, first.note) == (f"user:{alice.pk}", "thanks")
        assert first.reference == f"{first.kind}:invoice 7"

    def test_a_reference_means_one_amount_and_one_organization(self, org, other_org):
        ledger.grant(org, USD, reference="a", reason="")
        with pytest.raises(ReferenceTaken):
            ledger.grant(org, 2 * USD, reference="a", reason="")
        with pytest.raises(ReferenceTaken):
            ledger.grant(other_org, USD, reference="a", reason="")
        assert books(other_org) == (0, 0)

    def test_the_word_before_a_reference_may_be_written_or_not(self, org):
        first = ledger.grant(org, USD, reference="welcome", reason="")
        assert ledger.grant(org, USD, reference="grant:welcome", reason="") == first

    @pytest.mark.parametrize("amount", [0, -1])
    def test_nothing_is_no_grant(self, org, amount):
        with pytest.raises(ValueError, match="more than zero"):
            ledger.grant(org, amount, reference="a", reason="")

    def test_the_money_comes_from_the_funding_account(self, org):
        accounts = dict(Account.objects.for_org(org).values_list("kind", "balance_micros"))
        assert accounts == {"available": 10 * USD, "held": 0, "revenue": 0, "funding": -10 * USD}


class TestKeyCap:
    @pytest.fixture
    def capped(self, api_key):
        api_key.spend_cap_micros = 5 * USD
        api_key.save()
        return api_key

    def test_held_and_spent_count_and_returned_money_does_not(self, org, capped):
        first = hold(org, "4", key=capped)
        with pytest.raises(SpendCapReached) as refusal:
            hold(org, "1.000001", key=capped)
        assert refusal.value.code == "key_spend_cap"
        ledger.capture(first.job_id, 3 * USD)
        second = hold(org, "2", key=capped)
        ledger.release(second.job_id, reason="")
        hold(org, "2", key=capped)
        spend = KeySpend.objects.get()
        assert (spend.held_micros, spend.spent_micros) == (2 * USD, 3 * USD)

    def test_a_raise_counts_too(self, org, capped):
        held = hold(org, "4", key=capped)
        ledger.raise_hold(held.job_id, 5 * USD)
        with pytest.raises(SpendCapReached):
            ledger.raise_hold(held.job_id, 5 * USD + 1)

    def test_a_rotation_takes_along_what_was_spent_and_both_keys_share_the_rest(self, org, alice, capped):
        ledger.capture(hold(org, "2", key=capped).job_id, 2 * USD)
        newer, _ = keys.rotate(capped, timedelta(hours=1), by=alice)
        newest, _ = keys.rotate(newer, timedelta(hours=1), by=alice)
        for key in (newer, newest):
            with pytest.raises(SpendCapReached) as refusal:
                hold(org, "3.000001", key=key)
            assert "has used 2.00 USD" in refusal.value.message
        raised = hold(org, "1", key=newest)
        hold(org, "1", key=capped)
        ledger.raise_hold(raised.job_id, 2 * USD)
        for key in (capped, newer, newest):
            with pytest.raises(SpendCapReached):
                hold(org, "0.000001", key=key)
        ledger.capture(raised.job_id, USD)
        spend = KeySpend.objects.get()
        assert (spend.key, spend.held_micros, spend.spent_micros) == (capped, USD, 3 * USD)
        assert Hold.objects.filter(key=newest).count() == 1  # usage still tells the keys apart
        assert_sound()

    def test_other_keys_and_the_dashboard_are_free(self, org, capped):
        hold(org, "5", key=capped)
        hold(org, "5")

    def test_a_cap_of_zero_closes_the_key(self, org, capped):
        capped.spend_cap_micros = 0
        capped.save()
        with pytest.raises(SpendCapReached):
            hold(org, "0.000001", key=capped)

    def test_the_cap_is_read_under_the_lock_and_not_from_the_callers_object(self, org, capped):
        type(capped).objects.update(spend_cap_micros=USD)
        with pytest.raises(SpendCapReached):
            hold(org, "2", key=capped)


class TestBudget:
    @pytest.fixture(autouse=True)
    def _budget(self, org):
        Limits.objects.create(organization=org, monthly_budget_micros=5 * USD)

    def test_a_month_has_so_much(self, org):
        first = hold(org, "4")
        with pytest.raises(BudgetReached) as refusal:
            hold(org, "1.000001")
        assert refusal.value.code == "monthly_budget"
        ledger.capture(first.job_id, USD)
        hold(org, "4")
        with pytest.raises(BudgetReached):
            hold(org, "0.000001")

    def test_other_months_do_not_count(self, org):
        MonthSpend.objects.create(organization=org, month=date(2020, 1, 1), spent_micros=5 * USD)
        hold(org, "5")
        MonthSpend.objects.filter(month=date(2020, 1, 1)).delete()

    def test_a_hold_belongs_to_the_month_it_was_placed_in(self, org):
        held = hold(org, "4")
        Hold.objects.update(month=date(2020, 1, 1))
        MonthSpend.objects.update(month=date(2020, 1, 1))
        hold(org, "5")  # this month is untouched
        with pytest.raises(BudgetReached):
            ledger.raise_hold(held.job_id, 6 * USD)
        ledger.capture(held.job_id, 3 * USD)
        spent = dict(MonthSpend.objects.values_list("month", "spent_micros"))
        assert spent[date(2020, 1, 1)] == 3 * USD

    def test_the_narrowest_limit_speaks(self, org, api_key):
        api_key.spend_cap_micros = 3 * USD
        api_key.save()
        with pytest.raises(SpendCapReached):
            hold(org, "20", key=api_key)
        api_key.spend_cap_micros = 30 * USD
        api_key.save()
        with pytest.raises(BudgetReached):
            hold(org, "20", key=api_key)
        Limits.objects.update(monthly_budget_micros=30 * USD)
        with pytest.raises(InsufficientFunds):
            hold(org, "20", key=api_key)


class TestRules:
    """The database's own, for whoever walks round the verbs."""

    @pytest.mark.parametrize(
        "sql",
        [
            "UPDATE billing_transfer SET amount_micros = 1",
            "UPDATE billing_transfer SET note = 'x' WHERE false",
            "DELETE FROM billing_transfer",
            "TRUNCATE billing_transfer",
        ],
    )
    def test_transfers_never_change(self, sql):
        # A deferred foreign key check in the queue would stop TRUNCATE before the trigger does.
        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        with (
            pytest.raises(DatabaseError, match="append-only"),
            transaction.atomic(),
            connection.cursor() as cursor,
        ):
            cursor.execute(sql)
        assert Transfer.objects.get().amount_micros == 10 * USD

    @pytest.mark.parametrize(
        "change", [{"captured_micros": 1}, {"status": "captured"}, {"amount_micros": -1}]
    )
    def test_a_hold_stays_consistent(self, org, change):
        held = hold(org, "1")
        with pytest.raises(IntegrityError), transaction.atomic():
            Hold.objects.filter(pk=held.pk).update(**change)

    def test_held_money_is_never_negative(self, org):
        with pytest.raises(IntegrityError), transaction.atomic():
            Account.objects.filter(organization=org, kind="held").update(balance_micros=-1)

    def test_an_empty_transfer_is_refused(self, org):
        a, b = Account.objects.for_org(org).order_by("kind")[:2]
        with pytest.raises(IntegrityError, match="transfer_amount_positive"), transaction.atomic():
            Transfer.objects.create(
                reference="x", kind="grant", debit=a, credit=b, amount_micros=0, organization=org
            )


@pytest.mark.django_db(transaction=True)
def test_the_verbs_insist_on_a_transaction(org):
    for verb in (
        lambda: ledger.hold(org, job_id=uuid.uuid4(), amount_micros=1),
        lambda: ledger.raise_hold(uuid.uuid4(), 1),
        lambda: ledger.capture(uuid.uuid4(), 1),
        lambda: ledger.release(uuid.uuid4(), reason=""),
        lambda: ledger.grant(org, 1, reference="x", reason=""),
    ):
        with pytest.raises(TransactionManagementError, match="atomic"):
            verb()
    assert ledger.balance(org).available_micros == parse_usd("10")
