"""Settlement by its facts: the ledger of real postings, payouts, refunds and the work list."""

from dataclasses import dataclass, field

from shanmen.common.clock import Clock
from shanmen.common.errors import NotYet
from shanmen.platform.testing.model.ledger import CHANNEL, ORDER_NO, Ledger
from shanmen.platform.testing.model.payments import (
    Contradiction,
    Listeners,
    Part,
    Payout,
    Refund,
    Terms,
)
from shanmen.settlement.domain.ledger import (
    OWNER,
    SUSPENSE,
    posting_for_admission,
    posting_for_forfeit,
    posting_for_owner,
    posting_for_payout,
    posting_for_refund,
)
from shanmen.settlement.domain.outcomes import kind_when_stuck
from shanmen.settlement.domain.refunds import fee_shares_fen
from shanmen.settlement.domain.statuses import (
    PAYOUT,
    REFUND,
    SETTLEMENT,
    PayoutStatus,
    RefundPaymentStatus,
    Settlement,
)
from shanmen.settlement.domain.work import (
    ACTIONS,
    Direction,
    ManualAction,
    WorkFamily,
    WorkKind,
)


@dataclass
class Books:
    """What settlement knows."""

    clock: Clock
    tell: Listeners
    terms: Terms
    debit: str | None = None
    is_closed: bool = False
    orphans: dict[str, bool] = field(default_factory=dict)
    parts: dict[str, Part] = field(default_factory=dict)
    payouts: dict[str, Payout] = field(default_factory=dict)
    refunds: dict[str, Refund] = field(default_factory=dict)
    work: dict[tuple[WorkFamily, str], WorkKind] = field(default_factory=dict)
    top_ups: int = 0
    ledger: Ledger = field(init=False)

    def __post_init__(self) -> None:
        self.ledger = Ledger(self.clock)

    # ── what orders and verification tell ───────────────────────────────────────────────────────

    def book_debit(self, number: str) -> None:
        """The order is paid."""
        if self.debit not in {None, number} or number in self.orphans:
            raise Contradiction(f"{number} pays, and {self.debit} did")
        self.debit = number
        self.ledger.debit(number, self.terms.price_fen, self.terms.fee_fen)
        self.work.pop((WorkFamily.DEBIT, ORDER_NO), None)

    def take_on_orphan(self, number: str) -> None:
        """A debit that no order can take: all of it goes back."""
        if number in self.orphans or number == self.debit:
            raise Contradiction(f"{number} is known")
        self.orphans[number] = False
        whole_fen = self.terms.price_fen + self.terms.fee_fen
        self.ledger.debit(number, whole_fen, 0)
        self._ask_for_refund(None, number, whole_fen, 0)

    def list_parked_debit(self, outcome: str) -> None:
        """An order's debit waits."""
        if self.debit is None and not self.is_closed:
            kind = kind_when_stuck(WorkFamily.DEBIT, outcome)
            self.work[WorkFamily.DEBIT, ORDER_NO] = kind

    def end_unpaid(self, number: str | None) -> None:
        """The order was closed."""
        if number is not None:
            self.is_closed = True
            self.work.pop((WorkFamily.DEBIT, ORDER_NO), None)

    def take_on_entitlements(self, parts: list[Part]) -> None:
        """The order was issued."""
        for part in parts:
            self.parts.setdefault(part.key, part)

    def settle_visit(self, key: str) -> None:
        """A visitor was admitted. Raises NotYet."""
        part = self._part(key)
        if part.is_lapsed or part.is_used or part.status is not Settlement.PENDING:
            raise Contradiction(f"{key} is used, and was over")
        part.is_used = True
        self.ledger.post(
            posting_for_admission(
                entitlement_id=key,
                order_no=ORDER_NO,
                spot_id=part.spot_id,
                part_fen=part.part_fen,
                settle_fen=part.settle_fen,
                settlement_fee_fen=part.settlement_fee_fen,
                occurred_at=self.clock.now(),
            )
        )
        if part.payable_fen > 0:
            self._pay_out(key, part.payable_fen)
        else:
            self._change_part(part, Settlement.SETTLED)

    def lapse(self, key: str, *, expired: bool) -> None:
        """An entitlement never will be used. Raises NotYet."""
        part = self._part(key)
        if part.is_used or part.is_lapsed:
            raise Contradiction(f"{key} lapsed, and was over")
        part.is_lapsed = True
        if not expired or self.terms.refund_on_expiry:
            self._refund_part(part)
            return
        self._change_part(part, Settlement.FORFEITED)
        if part.part_fen > 0:
            self.ledger.post(
                posting_for_forfeit(
                    entitlement_id=key,
                    order_no=ORDER_NO,
                    part_fen=part.part_fen,
                    occurred_at=self.clock.now(),
                )
            )

    # ── what the gateway tells ──────────────────────────────────────────────────────────────────

    def succeeded(self, number: str) -> None:
        """A payout's or refund's money has moved. Raises NotYet."""
        if number in self.payouts:
            self._settle_payout(self.payouts[number])
        elif number in self.refunds:
            self._settle_refund(self.refunds[number])
        else:
            raise NotYet(number)

    def stuck(self, number: str, outcome: str) -> None:
        """A payout or refund waits for a person. Raises NotYet."""
        family = self._family(number)
        targets = (PayoutStatus.PARKED, RefundPaymentStatus.PARKED)
        self._fail(number, targets, kind_when_stuck(family, outcome))

    def failed(self, number: str) -> None:
        """A payout or refund was refused for good. Raises NotYet, Contradiction."""
        is_payout = self._family(number) is WorkFamily.PAYOUT
        kind = WorkKind.PAYOUT_REFUSED if is_payout else WorkKind.REFUND_REFUSED
        targets = (PayoutStatus.FAILED, RefundPaymentStatus.FAILED)
        if not self._fail(number, targets, kind):
            ended = self.payouts[number] if is_payout else self.refunds[number]
            if ended.status not in targets:
                raise Contradiction(f"{number} has failed, and is {ended.status}")

    # ── what people do ──────────────────────────────────────────────────────────────────────────

    def allowed(self, family: WorkFamily, subject: str) -> tuple[ManualAction, ...]:
        """What a person can do about an open item."""
        return ACTIONS[self.work[family, subject]]

    def act(self, family: WorkFamily, subject: str, action: ManualAction, number: str) -> bool:
        """Carry an action out; `number` is the debit's. False if it is refused."""
        if action is ManualAction.RESOLVE:
            return self._resolve(family, subject)
        if family is WorkFamily.DEBIT:
            self.tell.resume_requested(number)
            return True
        if action is ManualAction.SETTLE_OUTSIDE:
            return self._settle_outside(family, subject)
        is_payout = family is WorkFamily.PAYOUT
        return self._repay(subject) if is_payout else self._refund_again(subject)

    def top_up(self, amount_fen: int) -> None:
        """The owner moved money into the channel account."""
        self.top_ups += 1
        self.ledger.post(
            posting_for_owner(
                movement_id=str(self.top_ups),
                channel=CHANNEL,
                amount_fen=amount_fen,
                direction=Direction.IN,
                occurred_at=self.clock.now(),
            )
        )

    # ── payouts ─────────────────────────────────────────────────────────────────────────────────

    def _pay_out(self, key: str, amount_fen: int) -> None:
        number = f"pay_{len(self.payouts) + 1}"
        self.payouts[number] = Payout(number, key, amount_fen)
        self.tell.payout_requested(number, amount_fen)

    def _settle_payout(self, payout: Payout) -> None:
        if not PAYOUT.allows(payout.status, PayoutStatus.PAID):
            if payout.status is PayoutStatus.FAILED:
                self._suspect(payout.number, payout.amount_fen, WorkKind.PAYOUT_REFUSED)
            return
        payout.status = PayoutStatus.PAID
        part = self.parts[payout.key]
        if not (payout.live and self._change_part(part, Settlement.SETTLED)):
            raise Contradiction(f"{payout.number} is not what the channel paid")
        self.ledger.post(
            posting_for_payout(
                payout_id=payout.number,
                order_no=ORDER_NO,
                spot_id=part.spot_id,
                channel=CHANNEL,
                amount_fen=payout.amount_fen,
                occurred_at=self.clock.now(),
            )
        )
        self.work.pop((WorkFamily.PAYOUT, payout.number), None)

    def _repay(self, number: str) -> bool:
        payout = self.payouts[number]
        if PAYOUT.allows(payout.status, PayoutStatus.REQUESTED):
            payout.status = PayoutStatus.REQUESTED
            self.tell.resume_requested(number)
            return True
        if not self._is_refused(payout) or self.ledger.is_unexplained(number):
            return False
        payout.live = False
        self._pay_out(payout.key, payout.amount_fen)
        self.work.pop((WorkFamily.PAYOUT, number), None)
        return True

    # ── refunds ─────────────────────────────────────────────────────────────────────────────────

    def _refund_part(self, part: Part) -> None:
        if self.debit is None:
            part.is_lapsed = False
            raise NotYet(ORDER_NO)
        fee_fen = 0
        if self.terms.refunds_fee:
            parts_fen = {key: each.part_fen for key, each in self.parts.items()}
            fee_fen = fee_shares_fen(self.terms.fee_fen, parts_fen)[part.key]
        if part.part_fen + fee_fen > 0:
            self._ask_for_refund(part.key, self.debit, part.part_fen, fee_fen)
        else:
            self._change_part(part, Settlement.REFUNDED)

    def _ask_for_refund(self, key: str | None, debit: str, part_fen: int, fee_fen: int) -> None:
        number = f"ref_{len(self.refunds) + 1}"
        self.refunds[number] = Refund(number, key, debit, part_fen, fee_fen)
        self.tell.refund_requested(number, part_fen + fee_fen)

    def _settle_refund(self, refund: Refund) -> None:
        if not REFUND.allows(refund.status, RefundPaymentStatus.REFUNDED):
            if refund.status is RefundPaymentStatus.FAILED:
                amount_fen = refund.part_fen + refund.fee_fen
                self._suspect(refund.number, amount_fen, WorkKind.REFUND_REFUSED)
            return
        refund.status = RefundPaymentStatus.REFUNDED
        self.ledger.post(
            posting_for_refund(
                refund_id=refund.number,
                order_no=ORDER_NO,
                channel=CHANNEL,
                part_fen=refund.part_fen,
                fee_fen=refund.fee_fen,
                occurred_at=self.clock.now(),
            )
        )
        self._give_back(refund)
        self.work.pop((WorkFamily.REFUND, refund.number), None)

    def _refund_again(self, number: str) -> bool:
        refund = self.refunds[number]
        if REFUND.allows(refund.status, RefundPaymentStatus.REQUESTED):
            refund.status = RefundPaymentStatus.REQUESTED
            self.tell.resume_requested(number)
            return True
        if not self._is_refused(refund) or self.ledger.is_unexplained(number):
            return False
        refund.live = False
        self._ask_for_refund(refund.key, refund.debit, refund.part_fen, refund.fee_fen)
        self.work.pop((WorkFamily.REFUND, number), None)
        return True

    def _give_back(self, refund: Refund) -> None:
        if refund.key is None:
            if self.orphans[refund.debit]:
                raise Contradiction(f"{refund.debit} went back already")
            self.orphans[refund.debit] = True
        elif not self._change_part(self.parts[refund.key], Settlement.REFUNDED):
            raise Contradiction(f"{refund.key} cannot be refunded by {refund.number}")

    # ── both ────────────────────────────────────────────────────────────────────────────────────

    def _fail(
        self, number: str, targets: tuple[PayoutStatus, RefundPaymentStatus], kind: WorkKind
    ) -> bool:
        """Park or refuse; False where that is known, or more is."""
        payout, refund = self.payouts.get(number), self.refunds.get(number)
        if payout is not None:
            if not PAYOUT.allows(payout.status, targets[0]):
                return False
            payout.status = targets[0]
            self._change_part(self.parts[payout.key], Settlement.SETTLE_FAILED)
        elif refund is not None:
            if not REFUND.allows(refund.status, targets[1]):
                return False
            refund.status = targets[1]
            if refund.key is not None:
                part = self.parts[refund.key]
                if not self._change_part(part, Settlement.REFUND_FAILED):
                    raise Contradiction(f"{refund.key} went back already")
        self.work[kind.family, number] = kind
        return True

    def _settle_outside(self, family: WorkFamily, number: str) -> bool:
        payer = SUSPENSE if self.ledger.is_unexplained(number) else OWNER
        if family is WorkFamily.PAYOUT:
            payout = self.payouts[number]
            part = self.parts[payout.key]
            if not self._is_refused(payout):
                return False
            self._change_part(part, Settlement.SETTLED)
            self.ledger.payout_outside(
                number, spot_id=part.spot_id, amount_fen=payout.amount_fen, paid_from=payer
            )
        else:
            refund = self.refunds[number]
            if not self._is_refused(refund):
                return False
            self.ledger.refund_outside(
                number, part_fen=refund.part_fen, fee_fen=refund.fee_fen, paid_from=payer
            )
            self._give_back(refund)
        self.work.pop((family, number), None)
        return True

    def _resolve(self, family: WorkFamily, subject: str) -> bool:
        if family is WorkFamily.DEBIT:
            has_ended = self.debit is not None or self.is_closed
        else:
            each = self.payouts[subject] if subject in self.payouts else self.refunds[subject]
            ends = {PayoutStatus.PAID, RefundPaymentStatus.REFUNDED}
            failed = each.status in {PayoutStatus.FAILED, RefundPaymentStatus.FAILED}
            has_ended = each.status in ends or (failed and not self._is_refused(each))
        if has_ended:
            self.work.pop((family, subject))
        return has_ended

    def _is_refused(self, payment: Payout | Refund) -> bool:
        """Refused for good, and nothing else pays what it was to pay."""
        if payment.status not in {PayoutStatus.FAILED, RefundPaymentStatus.FAILED}:
            return False
        if isinstance(payment, Refund) and payment.key is None:
            return payment.live and not self.orphans[payment.debit]
        paid = {Settlement.SETTLED, Settlement.REFUNDED}
        return payment.live and self.parts[payment.key or ""].status not in paid

    def _suspect(self, number: str, amount_fen: int, kind: WorkKind) -> None:
        self.ledger.unexplained(number, amount_fen)
        self.work[kind.family, number] = kind

    def _family(self, number: str) -> WorkFamily:
        if number in self.payouts:
            return WorkFamily.PAYOUT
        if number in self.refunds:
            return WorkFamily.REFUND
        raise NotYet(number)

    def _part(self, key: str) -> Part:
        if key not in self.parts:
            raise NotYet(key)
        return self.parts[key]

    def _change_part(self, part: Part, target: Settlement) -> bool:
        again = {target} & {Settlement.SETTLE_FAILED, Settlement.REFUND_FAILED}
        if not (SETTLEMENT.allows(part.status, target) or part.status in again):
            return False
        part.status = target
        self.tell.settlement_changed(part.key, target)
        return True
