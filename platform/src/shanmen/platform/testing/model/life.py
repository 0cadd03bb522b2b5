"""The life of one order: five services by their facts, the events between them, and a channel."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from shanmen.common.money import allocate
from shanmen.gateway_adapters.domain.operations import OperationKind, OperationStatus, Outcome
from shanmen.orders.domain import Settlement as KnownSettlement
from shanmen.orders.domain import Usage as KnownUsage
from shanmen.platform.testing.model.bag import Bag
from shanmen.platform.testing.model.channel import Channel, Entry, Mood
from shanmen.platform.testing.model.gates import Gates
from shanmen.platform.testing.model.gateway import POLICY, Call, Gateway, Operation
from shanmen.platform.testing.model.ledger import ORDER_NO
from shanmen.platform.testing.model.orders import Orders
from shanmen.platform.testing.model.payments import Part, Terms
from shanmen.platform.testing.model.settlement import Books
from shanmen.platform.testing.model.stillclock import StillClock
from shanmen.settlement.domain.statuses import Settlement
from shanmen.settlement.domain.work import ManualAction, WorkFamily
from shanmen.verification.domain import Pass, Usage

PAY_WITHIN_S: Final = 40
VALID_S: Final = 120
GRACE_S: Final = 10


@dataclass(frozen=True)
class Sale:
    """How an order is sold: tickets, and per spot the settlement price and the fee off it."""

    tickets: int
    spots: Sequence[tuple[int, int]]
    price_fen: int
    """Of one ticket."""
    fee_fen: int
    """Of the order."""
    is_real_name: bool
    refund_on_expiry: bool
    refunds_fee: bool

    @property
    def whole_fen(self) -> int:
        """What the distributor is debited."""
        return self.tickets * self.price_fen + self.fee_fen


@dataclass
class Answer:
    """What the channel said to a call, on its way back. None: the caller died."""

    operation: Operation
    call: Call
    outcome: Outcome | None


class Life:
    """An order and everything around it; each public method is one thing that can happen."""

    def __init__(self, sale: Sale, *, distributor_fen: int, platform_fen: int) -> None:
        self.sale = sale
        self.clock = StillClock()
        self.bag = Bag()
        self.channel = Channel(
            distributor_fen,
            platform_fen,
            travel_s=50,
            cancel_travel_s=POLICY.absent_grace_s,
        )
        self.gateway = Gateway(self.clock, self._operation_told)
        self.tickets = {
            f"tkt_{ticket}": tuple(
                f"ent_{ticket}_{spot}" for spot in range(1, len(sale.spots) + 1)
            )
            for ticket in range(1, sale.tickets + 1)
        }
        deadline = self.clock.now() + timedelta(seconds=PAY_WITHIN_S)
        self.orders = Orders(self.clock, self, self.tickets, sale.is_real_name, deadline)
        self.gates = Gates(self.clock, self._usage_told)
        terms = Terms(
            price_fen=sale.tickets * sale.price_fen,
            fee_fen=sale.fee_fen,
            refund_on_expiry=sale.refund_on_expiry,
            refunds_fee=sale.refunds_fee,
        )
        self.books = Books(self.clock, self, terms)
        self.answers: list[Answer] = []

    # ── time, and the channel ───────────────────────────────────────────────────────────────────

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.clock.advance(timedelta(seconds=seconds))
        self.channel.pass_time(self.clock.now())

    def workable(self) -> list[Operation]:
        """Operations that are due now or later."""
        return [each for each in self.gateway.operations.values() if each.due_at is not None]

    def call(self, operation: Operation, mood: Mood, *, dies: bool = False) -> Outcome | None:
        """Wait until an operation is due, claim it, and call the channel."""
        due_at = operation.due_at
        assert due_at is not None
        self.advance(max((due_at - self.clock.now()).total_seconds(), 0))
        call = self.gateway.claim(operation)
        entry = Entry(operation.kind, operation.amount_fen)
        now = self.clock.now()
        outcome = self.channel.call(call.action, operation.number, entry, mood, now)
        if not dies:
            self.answers.append(Answer(operation, call, outcome))
        return outcome

    def hear(self, pick: int) -> None:
        """An answer comes back."""
        answer = self.answers.pop(pick % len(self.answers))
        if answer.outcome is not None:
            self.gateway.apply(answer.operation, answer.call, answer.outcome)

    def put_money_in(self, amount_fen: int) -> None:
        """The owner tops the platform's account up, and says so."""
        self.channel.platform_fen += amount_fen
        self.books.top_up(amount_fen)

    def act(self, family: WorkFamily, subject: str, action: ManualAction) -> bool:
        """A person does something about an open item."""
        return self.books.act(family, subject, action, self.orders.number or "")

    # ── events from orders ──────────────────────────────────────────────────────────────────────

    def debit_requested(self, number: str) -> None:
        """To the gateway."""
        kind, amount_fen = OperationKind.DEBIT, self.sale.whole_fen
        self.bag.post("DebitRequested", lambda: self.gateway.request(number, kind, amount_fen))

    def cancel_requested(self, number: str) -> None:
        """To the gateway."""
        self.bag.post("CancelRequested", lambda: self.gateway.cancel(number))

    def void_requested(self, entitlement_ids: Sequence[str]) -> None:
        """To verification."""
        self.bag.post("VoidRequested", lambda: self.gates.void(entitlement_ids))

    def order_paid(self, number: str) -> None:
        """To settlement."""
        self.bag.post("OrderPaid", lambda: self.books.book_debit(number))

    def order_closed(self, number: str | None) -> None:
        """To settlement."""
        self.bag.post("OrderClosed", lambda: self.books.end_unpaid(number))

    def debit_parked(self, number: str, outcome: str) -> None:
        """To settlement."""
        assert number == self.orders.number
        self.bag.post("DebitParked", lambda: self.books.list_parked_debit(outcome))

    def debit_orphaned(self, number: str) -> None:
        """To settlement."""
        self.bag.post("DebitOrphaned", lambda: self.books.take_on_orphan(number))

    def tickets_issued(self) -> None:
        """To verification and settlement."""
        passes, parts = self._sold()
        self.bag.post("TicketsIssued", lambda: self.gates.open_passes(passes))
        self.bag.post("TicketsIssued", lambda: self.books.take_on_entitlements(parts))

    def ticket_activated(self, ticket_no: str) -> None:
        """To verification."""
        self.bag.post("TicketActivated", lambda: self.gates.activate(ticket_no))

    # ── events from settlement, verification and the gateway ────────────────────────────────────

    def payout_requested(self, number: str, amount_fen: int) -> None:
        """To the gateway."""
        kind = OperationKind.PAYOUT
        self.bag.post("PayoutRequested", lambda: self.gateway.request(number, kind, amount_fen))

    def refund_requested(self, number: str, amount_fen: int) -> None:
        """To the gateway."""
        kind = OperationKind.REFUND
        self.bag.post("RefundRequested", lambda: self.gateway.request(number, kind, amount_fen))

    def resume_requested(self, number: str) -> None:
        """To the gateway."""
        self.bag.post("ResumeRequested", lambda: self.gateway.resume(number))

    def settlement_changed(self, key: str, settlement: Settlement) -> None:
        """To orders."""
        known = KnownSettlement(settlement.value)
        self.bag.post(
            f"settlement {settlement}", lambda: self.orders.follow_settlement(key, known)
        )

    def _usage_told(self, key: str, usage: Usage) -> None:
        known = KnownUsage(usage.value)
        self.bag.post(f"entitlement {usage}", lambda: self.orders.follow_usage(key, known))
        if usage is Usage.USED:
            self.bag.post("EntitlementUsed", lambda: self.books.settle_visit(key))
        else:
            expired = usage is Usage.EXPIRED
            self.bag.post("entitlement over", lambda: self.books.lapse(key, expired=expired))

    def _operation_told(self, operation: Operation) -> None:
        number, status, finished_at = operation.number, operation.status, operation.finished_at
        outcome, name = operation.outcome or Outcome.UNKNOWN, f"operation {operation.status}"
        is_debit = operation.kind is OperationKind.DEBIT
        if status is OperationStatus.SUCCEEDED:
            take = self.orders.take_payment if is_debit else self.books.succeeded
            self.bag.post(name, lambda: take(number))
        elif status is OperationStatus.FAILED:
            refuse = self.orders.note_refusal if is_debit else self.books.failed
            self.bag.post(name, lambda: refuse(number))
        elif is_debit:
            since = finished_at or self.clock.now()
            self.bag.post(name, lambda: self.orders.note_parking(number, outcome, since))
        else:
            self.bag.post(name, lambda: self.books.stuck(number, outcome))

    def _sold(self) -> tuple[list[Pass], list[Part]]:
        now, spots = self.clock.now(), self.sale.spots
        until = now + timedelta(seconds=VALID_S)
        parts_fen = allocate(self.sale.price_fen, [settle_fen for settle_fen, _ in spots])
        passes, parts = [], []
        for ticket_no, keys in self.tickets.items():
            for index, key in enumerate(keys):
                spot_id, (settle_fen, fee_fen) = f"spot_{index + 1}", spots[index]
                parts.append(Part(key, spot_id, parts_fen[index], settle_fen, fee_fen))
                passes.append(
                    Pass(
                        entitlement_id=key,
                        ticket_no=ticket_no,
                        order_no=ORDER_NO,
                        spot_id=spot_id,
                        usage=Usage.UNUSED,
                        activated=not self.sale.is_real_name,
                        valid_from=now,
                        valid_until=until,
                        expires_at=until + timedelta(seconds=GRACE_S),
                    )
                )
        return passes, parts
