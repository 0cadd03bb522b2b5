"""Orders by its facts: one order, its debits, its tickets, and what it has heard of the rest."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Protocol

from shanmen.common.clock import Clock
from shanmen.common.errors import NotYet
from shanmen.orders.domain import (
    CLOSABLE_DEBITS,
    DEBIT,
    ORDER,
    OUTSTANDING_DEBITS,
    PARKED_DEBITS,
    DebitState,
    DebitSuccess,
    ImpossibleFacts,
    OrderStatus,
    RefundStatus,
    Settlement,
    SpotFacts,
    Usage,
    debit_success,
    outcome,
    refund_status,
    spot_status,
)

_FINAL_SETTLEMENTS = (Settlement.SETTLED, Settlement.REFUNDED, Settlement.FORFEITED)


class Listeners(Protocol):
    """Whom orders asks and tells; each call is an event on its way."""

    def debit_requested(self, number: str) -> None:
        """To the gateway."""

    def cancel_requested(self, number: str) -> None:
        """To the gateway."""

    def void_requested(self, entitlement_ids: Sequence[str]) -> None:
        """To verification."""

    def order_paid(self, number: str) -> None:
        """To settlement."""

    def order_closed(self, number: str | None) -> None:
        """To settlement."""

    def debit_parked(self, number: str, outcome: str) -> None:
        """To settlement."""

    def debit_orphaned(self, number: str) -> None:
        """To settlement."""

    def tickets_issued(self) -> None:
        """To verification and settlement."""

    def ticket_activated(self, ticket_no: str) -> None:
        """To verification."""


@dataclass
class Orders:
    """The order, `tickets` by number with their entitlements once it is issued."""

    clock: Clock
    tell: Listeners
    tickets: dict[str, tuple[str, ...]]
    is_real_name: bool
    deadline: datetime
    status: OrderStatus = OrderStatus.AWAITING_PAYMENT
    debit: DebitState = DebitState.NONE
    numbers: list[str] = field(default_factory=list)
    orphaned: set[str] = field(default_factory=set)
    cancel_reason: str | None = None
    facts: dict[str, SpotFacts] = field(default_factory=dict)
    refund_wanted: set[str] = field(default_factory=set)
    told_short: set[str] = field(default_factory=set)
    told_stuck: dict[str, datetime] = field(default_factory=dict)
    past: list[OrderStatus] = field(default_factory=list)

    @property
    def number(self) -> str | None:
        """The debit in charge."""
        return self.numbers[-1] if self.numbers else None

    @property
    def refunds(self) -> RefundStatus:
        """The order's refund status. Raises ImpossibleFacts."""
        return refund_status([spot_status(facts) for facts in self.facts.values()])

    # ── what the distributor does ───────────────────────────────────────────────────────────────

    def pay(self) -> None:
        """Instruct payment, or ask for it again."""
        is_refused = self.status is not OrderStatus.AWAITING_PAYMENT or self.cancel_reason
        if is_refused or self.debit in {DebitState.REQUESTED, DebitState.STUCK}:
            return
        if self.clock.now() >= self.deadline:
            return
        resumed = self.debit is DebitState.SHORT_OF_FUNDS
        if not self._change_debit(DebitState.REQUESTED):
            return
        if not resumed:
            self.numbers.append(f"deb_{len(self.numbers) + 1}")
        self.tell.debit_requested(self.numbers[-1])

    def cancel(self, reason: str = "cancelled") -> None:
        """Cancel before payment: at once, or through the channel."""
        if self.status is not OrderStatus.AWAITING_PAYMENT or self._close():
            return
        is_outstanding = self.debit in OUTSTANDING_DEBITS
        if is_outstanding and self.cancel_reason is None and self.number is not None:
            self.cancel_reason = reason
            self.tell.cancel_requested(self.number)

    def activate(self, ticket_no: str) -> None:
        """Bind a visitor to a ticket."""
        if self.status is OrderStatus.ISSUED:
            for key in self.tickets[ticket_no]:
                self.facts[key] = replace(self.facts[key], activated=True)
            self.tell.ticket_activated(ticket_no)

    def refund(self, entitlement_ids: Sequence[str]) -> None:
        """Ask for unused entitlements to be voided."""
        unused = [key for key in entitlement_ids if self.facts[key].usage is Usage.UNUSED]
        wanted = [key for key in unused if key not in self.refund_wanted]
        if self.status is OrderStatus.ISSUED and wanted:
            self.refund_wanted.update(wanted)
            self.tell.void_requested(wanted)

    def sweep(self) -> None:
        """What happens at the deadline."""
        if self.status is OrderStatus.AWAITING_PAYMENT and self.clock.now() >= self.deadline:
            self._close()
            if self.debit in PARKED_DEBITS:
                self.cancel("deadline_passed")

    # ── what the gateway tells ──────────────────────────────────────────────────────────────────

    def take_payment(self, number: str) -> None:
        """A debit succeeded. Raises ImpossibleFacts."""
        assert number in self.numbers
        meaning = debit_success(self.status, self.debit, is_current=number == self.number)
        if meaning is DebitSuccess.PAYS:
            self._pay(number)
        elif meaning is DebitSuccess.ORPHANS and number not in self.orphaned:
            self.orphaned.add(number)
            self.tell.debit_orphaned(number)

    def note_refusal(self, number: str) -> None:
        """A debit never will succeed, for all that the channel knows."""
        is_current = number == self.number
        if is_current and self._change_debit(DebitState.REFUSED) and self.cancel_reason:
            self._close()

    def note_parking(self, number: str, outcome: str, since: datetime) -> None:
        """A debit waits."""
        if number != self.number:
            return
        is_short, before = outcome == "funds", self.debit
        state = DebitState.SHORT_OF_FUNDS if is_short else DebitState.STUCK
        if not self._change_debit(state) and before is not state:
            return
        if is_short and self.cancel_reason is None:
            if number not in self.told_short or before is DebitState.STUCK:
                self.tell.debit_parked(number, outcome)
            self.told_short.add(number)
        elif not is_short and self.told_stuck.get(number, since) <= since:
            self.told_stuck[number] = since
            self.tell.debit_parked(number, outcome)

    # ── what verification and settlement tell ───────────────────────────────────────────────────

    def follow_usage(self, key: str, usage: Usage) -> None:
        """An entitlement was used, has expired or was voided."""
        if self.facts[key].usage is Usage.UNUSED:
            self.facts[key] = replace(self.facts[key], usage=usage)
            self._conclude(key)

    def follow_settlement(self, key: str, settlement: Settlement) -> None:
        """An entitlement's money went somewhere, or could not. Raises NotYet."""
        if self.facts[key].usage is Usage.UNUSED:
            raise NotYet(key)
        if self.facts[key].settlement not in _FINAL_SETTLEMENTS:
            self.facts[key] = replace(self.facts[key], settlement=settlement)
            self._conclude(key)

    # ── transitions ─────────────────────────────────────────────────────────────────────────────

    def _pay(self, number: str) -> None:
        paid = self._change_debit(DebitState.SUCCEEDED) and self._change(OrderStatus.PAID)
        if not paid:
            raise ImpossibleFacts(f"{self.status} cannot take {number}")
        self.tell.order_paid(number)
        assert self._change(OrderStatus.ISSUED)
        new = SpotFacts(Usage.UNUSED, not self.is_real_name, Settlement.PENDING)
        self.facts = {key: new for keys in self.tickets.values() for key in keys}
        self.tell.tickets_issued()

    def _close(self) -> bool:
        closed = self.debit in CLOSABLE_DEBITS and self._change(OrderStatus.CLOSED_UNPAID)
        if closed:
            self.tell.order_closed(self.number)
        return closed

    def _conclude(self, key: str) -> None:
        spot_status(self.facts[key])
        concluded = outcome(list(self.facts.values()))
        if concluded is not None and not ORDER.is_terminal(self.status):
            self._change(concluded)

    def _change(self, target: OrderStatus) -> bool:
        if not ORDER.allows(self.status, target):
            return False
        self.past.append(self.status)
        self.status = target
        return True

    def _change_debit(self, target: DebitState) -> bool:
        if not DEBIT.allows(self.debit, target):
            return False
        self.debit = target
        return True
