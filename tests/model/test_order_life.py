"""The whole life of an order against a truthful but nasty channel, one event at a time (T0).

The statuses, tables, retry policy, postings and derivations are the services' own; only their
transactions are played in memory. The channel keeps its own books, and they are what is compared.
"""

import os
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final

from hypothesis import HealthCheck, event, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
)

from shanmen.gateway_adapters.domain.operations import (
    Action,
    OperationKind,
    OperationStatus,
    Outcome,
)
from shanmen.orders.domain import DebitState, OrderStatus, RefundStatus, Usage, spot_status
from shanmen.platform.testing.model.channel import Mood
from shanmen.platform.testing.model.gateway import POLICY
from shanmen.platform.testing.model.ledger import ORDER_NO
from shanmen.platform.testing.model.life import VALID_S, Life, Sale
from shanmen.settlement.domain.ledger import cash, custody, payable
from shanmen.settlement.domain.statuses import Settlement
from shanmen.settlement.domain.work import WorkFamily, WorkKind

EXAMPLES: Final = int(os.environ.get("SHANMEN_MODEL_EXAMPLES", "300"))
STEPS: Final = 50
ROUNDS: Final = 400
RICH_FEN: Final = 10_000_000

ORDER_STEPS: Final = {
    (OrderStatus.AWAITING_PAYMENT, OrderStatus.CLOSED_UNPAID),
    (OrderStatus.AWAITING_PAYMENT, OrderStatus.PAID),
    (OrderStatus.PAID, OrderStatus.ISSUED),
    (OrderStatus.ISSUED, OrderStatus.COMPLETED),
    (OrderStatus.ISSUED, OrderStatus.CLOSED_REFUNDED),
}
"""All that may ever become of an order; nothing leaves an end."""

IN_DOUBT: Final = {None, Outcome.PENDING, Outcome.UNKNOWN}
MOODS: Final = st.sampled_from([Mood.HONEST, *Mood])
PICKS: Final = st.integers(0, 11)
SALES: Final = st.builds(
    Sale,
    tickets=st.integers(1, 3),
    spots=st.lists(
        st.sampled_from([(6000, 60), (1, 0), (333, 7), (50, 50)]), min_size=1, max_size=2
    ),
    price_fen=st.sampled_from([8000, 100, 1]),
    fee_fen=st.sampled_from([0, 1, 100]),
    is_real_name=st.booleans(),
    refund_on_expiry=st.booleans(),
    refunds_fee=st.booleans(),
)


class OrderLife(RuleBasedStateMachine):
    """What can happen to an order, in any order, and what must hold whatever happens."""

    life: Life

    @initialize(
        sale=SALES,
        has_money=st.booleans(),
        platform_fen=st.sampled_from([0, 9000]),
        head_start=st.sampled_from(["issued", "asked for", "placed"]),
    )
    def place(self, sale: Sale, has_money: bool, platform_fen: int, head_start: str) -> None:
        """An order is placed, and perhaps issued: its distributor may be short, and so may we."""
        self.life = Life(sale, distributor_fen=0, platform_fen=0)
        self.life.put_money_in(platform_fen)
        if has_money or head_start == "issued":
            self.life.channel.distributor_fen = RICH_FEN
        if head_start != "placed":
            self.life.orders.pay()
            self.life.bag.deliver_all()
        if head_start == "issued":
            self._call(0, Mood.HONEST, dies=False)
            self.life.hear(-1)
            self.life.bag.deliver_all()

    @rule(turn=st.integers(0, 59), pick=PICKS, mood=MOODS)
    def happens(self, turn: int, pick: int, mood: Mood) -> None:
        """One thing that can happen now.

        One rule and a table of our own: lives in which no event ever arrives prove nothing.
        """
        life = self.life
        moves: list[tuple[bool, int, Callable[[int, Mood], None]]] = [
            (bool(life.bag.letters), 5, self.event_arrives),
            (bool(life.workable()), 4, self.gateway_works),
            (bool(life.workable()), 1, self.gateway_is_slow),
            (bool(life.answers), 2, self.answer_comes_late),
            (bool(life.channel.on_the_way()), 1, self.channel_carries_out),
            (bool(life.gateway.operations), 1, self.channel_notifies),
            (bool(life.gates.passes), 3, self.visitor_comes),
            (bool(life.orders.facts), 1, self.distributor_wants_refund),
            (life.orders.status is OrderStatus.AWAITING_PAYMENT, 2, self.distributor_acts),
            (bool(life.books.work), 2, self.operator_acts),
            (True, 1, self.owner_puts_money_in),
            (True, 1, self.time_passes),
        ]
        able = [move for is_possible, weight, move in moves if is_possible for _ in range(weight)]
        able[turn % len(able)](pick, mood)

    def event_arrives(self, pick: int, _: Mood) -> None:
        """One event arrives, whichever, or now and then all of them."""
        if pick == 0:
            self.life.bag.deliver_all()
            return
        name, in_time = self.life.bag.take(pick)
        if not in_time:
            event(f"early: {name}")

    def gateway_works(self, pick: int, mood: Mood) -> None:
        """The gateway makes the next call of an operation, and hears the answer."""
        self._call(pick, mood, dies=False)
        self.life.hear(-1)

    def gateway_is_slow(self, pick: int, mood: Mood) -> None:
        """The gateway calls, and hears much later, or dies in the call."""
        self._call(pick, mood, dies=pick % 3 == 0)

    def answer_comes_late(self, pick: int, _: Mood) -> None:
        """An answer comes, perhaps long after the next call was made."""
        self.life.hear(pick)

    def channel_carries_out(self, pick: int, _: Mood) -> None:
        """What was on its way at the channel comes to its end."""
        numbers = self.life.channel.on_the_way()
        self.life.channel.arrive(numbers[pick % len(numbers)], favourably=pick % 4 != 0)
        event("carried out late")

    def channel_notifies(self, pick: int, _: Mood) -> None:
        """A notification comes, with or without need."""
        numbers = list(self.life.gateway.operations)
        self.life.gateway.hint(numbers[pick % len(numbers)])

    def visitor_comes(self, pick: int, _: Mood) -> None:
        """A visitor is bound to a ticket, or the ticket is read at a gate."""
        held = list(self.life.gates.passes.values())[pick % len(self.life.gates.passes)]
        if not self.life.orders.facts[held.entitlement_id].activated:
            self.life.orders.activate(held.ticket_no)
            return
        entered = self.life.gates.scan(held.ticket_no, held.spot_id)
        event(f"scan: {'admitted' if entered else 'refused'}")

    def distributor_wants_refund(self, pick: int, _: Mood) -> None:
        """The distributor wants unused entitlements back, one or all."""
        keys = list(self.life.orders.facts)
        self.life.orders.refund(keys if pick == 0 else [keys[pick % len(keys)]])

    def distributor_acts(self, pick: int, _: Mood) -> None:
        """The distributor pays or asks again, tops up, or cancels."""
        if pick < 3:
            self.life.orders.cancel()
        elif pick == 3:
            self.life.channel.distributor_fen += RICH_FEN
        else:
            self.life.orders.pay()

    def operator_acts(self, pick: int, _: Mood) -> None:
        """A person does something about what is on the work list."""
        items = list(self.life.books.work)
        family, subject = items[pick % len(items)]
        allowed = self.life.books.allowed(family, subject)
        action = allowed[pick % len(allowed)]
        done = self.life.act(family, subject, action)
        event(f"by hand: {family} {action} {'done' if done else 'refused'}")

    def owner_puts_money_in(self, pick: int, _: Mood) -> None:
        """The platform's account gets money, enough or not."""
        self.life.put_money_in((1, 5000, RICH_FEN)[pick % 3])

    def time_passes(self, pick: int, _: Mood) -> None:
        """Time passes, and the sweeps run: deadlines of payment, and the ends of validity."""
        self.life.advance(VALID_S if pick == 0 else pick)
        self.life.orders.sweep()
        self.life.gates.expire()

    def _call(self, pick: int, mood: Mood, *, dies: bool) -> None:
        operations = self.life.workable()
        operation = operations[pick % len(operations)]
        outcome = self.life.call(operation, mood, dies=dies)
        event(f"{operation.kind} {operation.calls[-1].action}: {outcome}")

    def _outlast_validity(self) -> None:
        until = self.life.gates.expires_at()
        if until is not None:
            self.life.advance(max((until - self.life.clock.now()).total_seconds(), 0))

    # ── what always holds ───────────────────────────────────────────────────────────────────────

    @invariant()
    def every_posting_balances(self) -> None:
        """M1."""
        for posting in self.life.books.ledger.postings.values():
            entries = posting.entries
            assert sum(e.debit_fen for e in entries) == sum(e.credit_fen for e in entries)

    @invariant()
    def nothing_is_booked_that_has_not_moved(self) -> None:
        """M2: the ledger never runs ahead of the channel."""
        for key in self.life.books.ledger.postings:
            fact, _, number = key.partition(":")
            if fact in {"debit", "payout", "refund"}:
                assert self.life.channel.books[number].has_moved, f"{key} is booked"

    @invariant()
    def no_order_is_debited_twice(self) -> None:
        """M4: over all the numbers ever used."""
        assert len(self._moved(OperationKind.DEBIT)) <= 1

    @invariant()
    def every_ticket_belongs_to_money(self) -> None:
        """M6, and a closed order has no ticket."""
        if self.life.orders.facts:
            number = self.life.orders.number
            assert number in self._moved(OperationKind.DEBIT)
            assert self.life.orders.status not in {
                *(OrderStatus.AWAITING_PAYMENT, OrderStatus.CLOSED_UNPAID, OrderStatus.PAID)
            }
        if self.life.orders.status is OrderStatus.CLOSED_UNPAID:
            assert not self.life.gates.passes

    @invariant()
    def every_payout_is_for_one_visit(self) -> None:
        """M7, in the channel's books."""
        paid = [self.life.books.payouts[number] for number in self._moved(OperationKind.PAYOUT)]
        keys = [payout.key for payout in paid]
        assert len(keys) == len(set(keys)), f"paid twice: {keys}"
        for payout in paid:
            part = self.life.books.parts[payout.key]
            assert self.life.gates.passes[payout.key].usage.value == "used"
            moved_fen = self.life.channel.books[payout.number].amount_fen
            assert moved_fen == part.settle_fen - part.settlement_fee_fen

    @invariant()
    def nothing_is_refunded_twice_or_after_a_visit(self) -> None:
        """M8, in the channel's books."""
        back = [self.life.books.refunds[number] for number in self._moved(OperationKind.REFUND)]
        things = [(refund.key, refund.debit) for refund in back]
        assert len(things) == len(set(things)), f"refunded twice: {things}"
        for refund in back:
            if refund.key is not None:
                assert self.life.gates.passes[refund.key].usage.value in {"expired", "voided"}
        debited = dict.fromkeys(self._moved(OperationKind.DEBIT), 0)
        for refund in back:
            debited[refund.debit] += self.life.channel.books[refund.number].amount_fen
        assert all(fen <= self.life.sale.whole_fen for fen in debited.values())

    @invariant()
    def no_account_is_overdrawn(self) -> None:
        """M10."""
        assert self.life.channel.platform_fen >= 0
        assert self.life.channel.distributor_fen >= 0

    @invariant()
    def statuses_follow_the_facts(self) -> None:
        """S1 to S3: nothing that is known is impossible."""
        for facts in self.life.orders.facts.values():
            spot_status(facts)
        is_closed = self.life.orders.status is OrderStatus.CLOSED_REFUNDED
        assert is_closed == (self.life.orders.refunds is RefundStatus.REFUNDED)

    @invariant()
    def orders_only_go_forward(self) -> None:
        """S4."""
        path = [*self.life.orders.past, self.life.orders.status]
        assert set(pairwise(path)) <= ORDER_STEPS

    @invariant()
    def nothing_abandoned_is_sent(self) -> None:
        """Once given up, a number is only asked about and cancelled."""
        for operation in self.life.gateway.operations.values():
            if operation.sends_when_abandoned is not None:
                assert operation.sends == operation.sends_when_abandoned

    @invariant()
    def nothing_is_sent_on_a_guess(self) -> None:
        """After a send in doubt comes another only if "not found" was said twice, far apart."""
        for operation in self.life.gateway.operations.values():
            in_doubt, absent_at = False, list[datetime]()
            for call in operation.calls:
                if call.action is Action.SEND:
                    if in_doubt:
                        apart = max(absent_at) - min(absent_at) if absent_at else timedelta()
                        assert apart.total_seconds() >= POLICY.absent_grace_s, (
                            f"{operation.number} sent again: {operation.calls}"
                        )
                    in_doubt, absent_at = call.outcome in IN_DOUBT, []
                elif call.outcome is Outcome.ABSENT and call.finished_at is not None:
                    absent_at.append(call.finished_at)

    @invariant()
    def nobody_enters_twice(self) -> None:
        """K2."""
        assert len(self.life.gates.admissions) == len(set(self.life.gates.admissions))

    def _moved(self, kind: OperationKind) -> list[str]:
        """The numbers of this kind under which the channel moved money for good."""
        books = self.life.channel.books
        return [n for n, entry in books.items() if entry.kind is kind and entry.has_moved]

    # ── how it ends ─────────────────────────────────────────────────────────────────────────────

    def teardown(self) -> None:
        """Faults are healed and everybody acts: nothing is left to do, and every fen is found."""
        if not hasattr(self, "life"):
            return
        self._converge()
        self.check_invariants_once_more()
        self.everything_has_ended()
        self.every_fen_is_found()
        event(f"order: {self.life.orders.status}, refunds: {self.life.orders.refunds}")

    def check_invariants_once_more(self) -> None:
        """What always holds, holds at the end."""
        self.every_posting_balances()
        self.no_order_is_debited_twice()
        self.every_ticket_belongs_to_money()
        self.every_payout_is_for_one_visit()
        self.nothing_is_refunded_twice_or_after_a_visit()
        self.statuses_follow_the_facts()
        self.orders_only_go_forward()
        self.nothing_abandoned_is_sent()

    def everything_has_ended(self) -> None:
        """S5, M5, M7: the order has ended, and nothing is open anywhere, or waits for a person."""
        life = self.life
        assert life.orders.status in {
            *(OrderStatus.CLOSED_UNPAID, OrderStatus.COMPLETED, OrderStatus.CLOSED_REFUNDED)
        }
        assert life.orders.debit not in {DebitState.REQUESTED, DebitState.SHORT_OF_FUNDS}
        assert not life.books.work
        ends = {OperationStatus.SUCCEEDED, OperationStatus.FAILED}
        assert all(each.status in ends for each in life.gateway.operations.values())
        assert all(life.books.orphans.values())
        shown = [facts.settlement.value for facts in life.orders.facts.values()]
        assert shown == [part.status.value for part in life.books.parts.values()]
        assert set(shown) <= {"settled", "refunded", "forfeited"}
        known = {key: facts.usage for key, facts in life.orders.facts.items()}
        held = {key: Usage(each.usage.value) for key, each in life.gates.passes.items()}
        assert known == held

    def every_fen_is_found(self) -> None:
        """M2, M3, M9: cash is what the channel says, nobody is owed anything, all adds up."""
        books, channel = self.life.books, self.life.channel
        assert books.ledger.balance_fen(cash("alipay")) == channel.platform_fen
        assert books.ledger.balance_fen(custody(ORDER_NO)) == 0
        assert books.ledger.balance_fen("suspense") == 0
        spots = {part.spot_id for part in books.parts.values()}
        assert all(books.ledger.balance_fen(payable(spot_id)) == 0 for spot_id in spots)
        earned_fen = 0
        for part in books.parts.values():
            fee_fen = part.settlement_fee_fen
            earned_fen += {
                Settlement.SETTLED: part.part_fen - part.settle_fen + fee_fen,
                Settlement.FORFEITED: part.part_fen,
            }.get(part.status, 0)
        kept_fee_fen = 0
        if books.parts:
            back_fen = sum(r.fee_fen for r in books.refunds.values() if self._went_back(r.number))
            kept_fee_fen = self.life.sale.fee_fen - back_fen
        assert (
            books.ledger.balance_fen("margin") + books.ledger.balance_fen("fees")
            == earned_fen + kept_fee_fen
        )

    def _went_back(self, number: str) -> bool:
        """Through the channel, or outside of it."""
        keys = self.life.books.ledger.postings
        return f"refund:{number}" in keys or f"refund_outside:{number}" in keys

    def _converge(self) -> None:
        """Play on, with a channel that does what it is asked, until nothing is left to do."""
        life = self.life
        life.channel.distributor_fen += RICH_FEN
        life.put_money_in(RICH_FEN)
        while life.answers:
            life.hear(0)
        for _ in range(ROUNDS):
            life.bag.deliver_all()
            if life.orders.status is OrderStatus.AWAITING_PAYMENT:
                self._outlast_deadline()
            life.orders.sweep()
            life.bag.deliver_all()
            if self._do_one_thing():
                continue
            self._outlast_validity()
            life.gates.expire()
            if not life.bag.letters:
                return
        raise AssertionError(f"does not converge: {life.books.work}, {life.workable()}")

    def _do_one_thing(self) -> bool:
        """One thing that is left to do at the channel or on the work list; False for none."""
        life = self.life
        on_the_way, books = life.channel.on_the_way(), life.channel.books
        is_open = any(each.status is OperationStatus.OPEN for each in life.workable())
        # What travels arrives as late as it can: after everybody has given it up.
        if on_the_way and (not is_open or any(books[number].dealing for number in on_the_way)):
            life.channel.arrive(on_the_way[0], favourably=True)
        elif life.workable():
            operation = min(life.workable(), key=lambda each: each.due_at or each.next_at)
            life.call(operation, Mood.HONEST)
            life.hear(-1)
        elif life.books.work:
            (family, subject), kind = next(iter(life.books.work.items()))
            self._help(family, subject, kind)
        else:
            return False
        return True

    def _help(self, family: WorkFamily, subject: str, kind: WorkKind) -> None:
        """Do the first thing that is allowed and that the service does not refuse."""
        actions = self.life.books.allowed(family, subject)
        assert any(self.life.act(family, subject, action) for action in actions), (
            f"nothing can be done about {kind} of {subject}"
        )

    def _outlast_deadline(self) -> None:
        overdue = self.life.orders.deadline - self.life.clock.now() + timedelta(seconds=1)
        self.life.advance(max(overdue.total_seconds(), 0))


TestOrderLife = OrderLife.TestCase
TestOrderLife.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=STEPS,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
