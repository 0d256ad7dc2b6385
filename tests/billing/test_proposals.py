"""Money that operators move by hand: alone up to an amount, above it by two of them."""

import uuid

import pytest
from django.db import transaction

from accounts.models import AuditEntry
from billing import ledger, proposals, quotas
from billing.control_models import Act
from billing.errors import ProposalClosed
from billing.models import FreeQuota, Price, Proposal, Reversal, TopUp, Transfer, TransferKind
from tests.billing.conftest import assert_sound, books, give, in_threads
from tests.stripe_double.fixtures import work
from tests.world import PASSWORD, User, at_console

USD = 1_000_000
PAGE = "/console/billing/proposal/"


@pytest.fixture
def second(db):
    """Another operator."""
    return User.objects.create_superuser("second@voicereel.example", PASSWORD)


@pytest.fixture
def beside(second):
    return at_console(second)


@pytest.fixture
def topup(desk, org, alice_browser) -> TopUp:
    desk.pay(alice_browser.post("/billing/topups", {"amount": "1000"}).headers["Location"])
    desk.tell()
    return TopUp.objects.get(status="paid")


def form(org, **changes):
    plain = {
        "organization": org.pk,
        "kind": "grant",
        "amount_usd": "12.5",
        "reason": "sorry",
        "form_id": uuid.uuid4(),
    }
    return {**plain, **changes}


def ask(client, org, **changes):
    return client.post(f"{PAGE}add/", form(org, **changes))


def decide(client, action, *proposals_):
    chosen = [proposal.pk for proposal in proposals_]
    return client.post(PAGE, {"action": action, "_selected_action": chosen}, follow=True)


def owe(organization, micros: int) -> None:
    """As a lost dispute does."""
    with transaction.atomic():
        ledger.take_back(organization, micros, kind=TransferKind.DISPUTE, reference="d", reason="lost")


class TestAlone:
    def test_credit_is_given_with_a_reason_and_recorded(self, console, operator, org):
        assert b"reason" in console.get(f"{PAGE}add/").content
        assert ask(console, org).status_code == 302
        transfer = Transfer.objects.get()
        assert (transfer.kind, transfer.amount_micros, transfer.note) == ("grant", 12_500_000, "sorry")
        assert transfer.actor == f"user:{operator.pk}"
        entry = AuditEntry.objects.get(action="ledger.grant")
        assert (entry.actor_user, entry.organization) == (operator, org)
        assert entry.before == {"available_usd": "0.00"}
        assert entry.after == {"usd": "12.50", "reason": "sorry", "available_usd": "12.50"}
        assert_sound()

    def test_the_same_form_twice_gives_once(self, console, org):
        twice = form(org)
        for _ in range(2):
            assert console.post(f"{PAGE}add/", twice).status_code == 302
        assert books(org) == (12_500_000, 0)

    def test_a_payment_counts_towards_the_tier(self, console, org):
        assert quotas.limits_of(org).tier == "bronze"
        ask(console, org, kind="topup", amount_usd="100")
        assert quotas.limits_of(org).tier == "silver"

    @pytest.mark.parametrize(
        "changes",
        [
            {"amount_usd": "0"},
            {"amount_usd": "-5"},
            {"amount_usd": "1,5"},
            {"reason": ""},
            {"kind": "refund"},
            {"kind": "capture"},
            {"organization": ""},
        ],
    )
    def test_a_wrong_form_moves_nothing(self, console, org, changes):
        assert ask(console, org, **changes).status_code == 200
        assert Transfer.objects.count() == Proposal.objects.count() == 0

    def test_what_is_owed_is_written_off_and_no_more(self, console, org):
        owe(org, 5 * USD)
        refused = console.post(f"{PAGE}add/", form(org, kind="write_off", amount_usd="5.01"), follow=True)
        assert b"owes 5.00 USD" in refused.content
        assert b"5.01" in refused.content  # what was typed is still there
        assert (Proposal.objects.count(), books(org)) == (0, (-5 * USD, 0))
        ask(console, org, kind="write_off", amount_usd="5")
        assert books(org) == (0, 0)
        entry = AuditEntry.objects.get(action="ledger.write_off")
        assert (entry.before["available_usd"], entry.after["available_usd"]) == ("-5.00", "0.00")
        assert_sound()

    def test_a_topup_goes_back_to_its_card(self, console, desk, org, topup):
        assert f"topup={topup.pk}" in console.get("/console/billing/topup/").text
        refund = form(org, kind="refund", topup=topup.pk, amount_usd="20", organization="")
        for _ in range(2):
            console.post(f"{PAGE}add/", refund)
        work()
        assert Reversal.objects.get().status == "succeeded"
        assert [made["amount"] for made in desk.world.all("refund")] == [2000]
        assert books(org) == (980 * USD, 0)
        entry = AuditEntry.objects.get(action="ledger.refund")
        assert (entry.before["available_usd"], entry.after["available_usd"]) == ("1000.00", "980.00")
        assert_sound()

    def test_spent_credit_goes_back_only_when_the_operator_says_so(self, console, org, topup, settings):
        settings.TWO_PERSON_USD = "5000"
        owe(org, 990 * USD)
        refund = {"kind": "refund", "topup": topup.pk, "amount_usd": "20"}
        ask(console, org, **refund)
        assert books(org) == (10 * USD, 0)
        ask(console, org, **refund, spent_too="on")
        assert books(org) == (-10 * USD, 0)

    def test_without_a_key_it_is_refused_with_a_sentence(self, console, beside, org, topup, settings):
        ask(console, org, kind="refund", topup=topup.pk, amount_usd="600")
        waiting = Proposal.objects.get()
        settings.STRIPE_SECRET_KEY = ""
        for usd in ("20", "700"):
            asked = form(org, kind="refund", topup=topup.pk, amount_usd=usd)
            page = console.post(f"{PAGE}add/", asked, follow=True)
            assert "nothing can be paid back to a card" in page.text
        assert "nothing can be paid back to a card" in decide(beside, "approve", waiting).text
        waiting.refresh_from_db()
        assert (Proposal.objects.count(), waiting.status, Reversal.objects.count()) == (1, "open", 0)
        assert books(org)[0] == 1000 * USD

    def test_a_refund_names_a_paid_topup_of_that_organization(self, console, org, other_org, topup):
        for changes in ({"topup": uuid.uuid4()}, {"topup": topup.pk, "organization": other_org.pk}):
            assert ask(console, org, kind="refund", **changes).status_code == 200
        assert books(org) == (1000 * USD, 0)


class TestByTwo:
    def test_more_than_the_set_amount_waits_for_a_second(self, console, operator, beside, second, org):
        answer = console.post(f"{PAGE}add/", form(org, amount_usd="500.01"), follow=True)
        assert b"A second operator has to approve it" in answer.content
        proposal = Proposal.objects.get()
        assert (proposal.status, books(org)) == ("open", (0, 0))
        opened = AuditEntry.objects.get(action="proposal.open")
        assert (opened.actor_user, opened.after["usd"]) == (operator, "500.01")
        decide(beside, "approve", proposal)
        assert books(org) == (500_010_000, 0)
        entry = AuditEntry.objects.get(action="proposal.approve")
        assert (entry.actor_user, entry.before["status"], entry.after["status"]) == (second, "open", "done")
        done = AuditEntry.objects.get(action="ledger.grant")
        assert (done.actor_user, done.after["proposed_by"]) == (second, operator.email)
        assert_sound()

    def test_nobody_approves_their_own(self, console, org):
        ask(console, org, amount_usd="501")
        answer = decide(console, "approve", Proposal.objects.get())
        assert b"Somebody else has to approve" in answer.content
        assert (Proposal.objects.get().status, books(org)) == ("open", (0, 0))

    def test_declined_is_declined(self, console, beside, org):
        ask(console, org, amount_usd="501")
        decide(beside, "decline", Proposal.objects.get())
        assert AuditEntry.objects.get(action="proposal.decline").after["status"] == "declined"
        assert b"It is declined already" in decide(beside, "approve", Proposal.objects.get()).content
        assert books(org) == (0, 0)

    def test_small_sums_add_up(self, console, beside, org, other_org):
        ask(console, org, amount_usd="300")
        ask(console, org, amount_usd="300")
        assert books(org) == (300 * USD, 0)
        ask(console, other_org, amount_usd="300")  # counted for each organization
        assert books(other_org) == (300 * USD, 0)
        decide(beside, "approve", Proposal.objects.get(status="open"))
        ask(console, org, amount_usd="200")  # what a second one approved is not counted
        assert books(org) == (800 * USD, 0)

    def test_refunds_and_write_offs_as_well(self, console, beside, desk, org, topup):
        ask(console, org, kind="refund", topup=topup.pk, amount_usd="600")
        assert books(org) == (1000 * USD, 0)
        decide(beside, "approve", Proposal.objects.get())
        work()
        assert [made["amount"] for made in desk.world.all("refund")] == [60_000]
        owe(org, 1000 * USD)
        ask(console, org, kind="write_off", amount_usd="600")
        decide(beside, "approve", Proposal.objects.get(status="open"))
        assert books(org) == (0, 0)

    def test_what_the_books_refuse_stays_open(self, console, beside, org):
        owe(org, 700 * USD)
        ask(console, org, kind="write_off", amount_usd="600")
        give(org, "200")
        assert b"owes 500.00 USD" in decide(beside, "approve", Proposal.objects.get()).content
        assert Proposal.objects.get().status == "open"

    def test_staff_without_the_right_neither_ask_nor_decide(self, console, org):
        ask(console, org, amount_usd="501")
        reader = at_console(User.objects.create_user("reader@voicereel.example", PASSWORD, is_staff=True))
        assert ask(reader, org).status_code == 403
        decide(reader, "approve", Proposal.objects.get())
        assert books(org) == (0, 0)

    def test_nothing_is_changed_afterwards(self, console, org):
        ask(console, org, amount_usd="501")
        page = f"{PAGE}{Proposal.objects.get().pk}/"
        assert console.get(f"{page}change/").status_code == 200
        assert console.post(f"{page}change/", {"amount_usd": "1"}).status_code == 403
        assert console.post(f"{page}delete/", {"post": "yes"}).status_code == 403


class TestWhatIsAsGoodAsMoney:
    def test_a_credit_limit_is_raised_by_two(self, console, beside, org):
        ask(console, org, kind="credit", amount_usd="400")
        assert quotas.credit_limit(org) == 400 * USD
        entry = AuditEntry.objects.get(action="ledger.credit")
        assert entry.before == {"credit_limit_usd": "0.00"}
        assert entry.after["credit_limit_usd"] == "400.00"
        ask(console, org, amount_usd="200")  # a gift on the same day
        ask(console, org, kind="credit", amount_usd="200")
        assert (quotas.credit_limit(org), books(org)) == (400 * USD, (0, 0))
        decide(beside, "approve", Proposal.objects.get(status="open", kind="credit"))
        assert quotas.credit_limit(org) == 600 * USD

    def test_the_form_of_limits_only_lowers_it(self, console, org):
        ask(console, org, kind="credit", amount_usd="400")
        page = f"/console/billing/limits/{org.pk}/change/"
        answer = console.post(page, {"organization": org.pk, "credit_limit_micros": 401 * USD})
        assert b"Raise it by a proposal" in answer.content
        console.post(page, {"organization": org.pk, "credit_limit_micros": 100 * USD})
        assert quotas.credit_limit(org) == 100 * USD

    def test_free_units_of_one_tenant_are_worth_no_more(self, console, org):
        page = "/console/billing/freequota/add/"
        form = {"model": "wan-2.2-s2v", "unit": "second", "organization": org.pk}
        dearest = max(p.micros_per_unit for p in Price.objects.filter(model="wan-2.2-s2v", unit="second"))
        most = 500 * USD // dearest
        answer = console.post(page, form | {"units": most + 1})
        assert b"Give credit by a proposal instead" in answer.content
        FreeQuota.objects.create(model="wan-2.2-s2v", units=100)  # everybody's, so no gift
        assert console.post(page, form | {"units": most + 100}).status_code == 302
        other = form | {"model": "wan-2.2-animate", "units": 100}
        assert b"With its other quotas" in console.post(page, other).content
        assert console.post(page, other | {"organization": "", "units": 10**6}).status_code == 302


@pytest.mark.django_db(transaction=True)
class TestAtTheSameMoment:
    def test_two_forms_do_not_do_together_what_one_may_not(self, operator, org):
        def one(_):
            return proposals.propose(
                org, Act.GRANT, 300 * USD, reason="x", by=operator, once=uuid.uuid4()
            ).status

        assert sorted(in_threads(4, one)) == ["done", "open", "open", "open"]
        assert books(org) == (300 * USD, 0)

    def test_two_approvals_are_one(self, operator, second, org):
        proposal = proposals.propose(org, Act.GRANT, 600 * USD, reason="x", by=operator, once=uuid.uuid4())

        def one(_):
            try:
                return proposals.approve(proposal.pk, by=second).status
            except ProposalClosed:
                return "closed"

        assert sorted(in_threads(4, one)) == ["closed", "closed", "closed", "done"]
        assert books(org) == (600 * USD, 0)
