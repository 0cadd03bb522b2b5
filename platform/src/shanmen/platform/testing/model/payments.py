"""What settlement keeps of an order: how it was sold, and each payment because of it."""

from dataclasses import dataclass
from typing import Protocol

from shanmen.settlement.domain.statuses import (
    PayoutStatus,
    RefundPaymentStatus,
    Settlement,
    payable_fen,
)


class Contradiction(AssertionError):
    """What was told cannot be."""


class Listeners(Protocol):
    """Whom settlement asks and tells; each call is an event on its way."""

    def payout_requested(self, number: str, amount_fen: int) -> None:
        """To the gateway."""

    def refund_requested(self, number: str, amount_fen: int) -> None:
        """To the gateway."""

    def resume_requested(self, number: str) -> None:
        """To the gateway."""

    def settlement_changed(self, key: str, settlement: Settlement) -> None:
        """To orders."""


@dataclass(frozen=True)
class Terms:
    """How an order was sold; the entitlements' terms are in `Part`."""

    price_fen: int
    fee_fen: int
    refund_on_expiry: bool
    refunds_fee: bool


@dataclass
class Part:
    """The money side of one entitlement."""

    key: str
    spot_id: str
    part_fen: int
    settle_fen: int
    settlement_fee_fen: int
    status: Settlement = Settlement.PENDING
    is_used: bool = False
    is_lapsed: bool = False

    @property
    def payable_fen(self) -> int:
        """What its spot is paid."""
        return payable_fen(self.settle_fen, self.settlement_fee_fen)


@dataclass
class Payout:
    """One payment to a spot, for one visit; not `live` once another took its place."""

    number: str
    key: str
    amount_fen: int
    status: PayoutStatus = PayoutStatus.REQUESTED
    live: bool = True


@dataclass
class Refund:
    """One payment back: of an entitlement, or (`key` is None) of the orphaned debit `debit`."""

    number: str
    key: str | None
    debit: str
    part_fen: int
    fee_fen: int
    status: RefundPaymentStatus = RefundPaymentStatus.REQUESTED
    live: bool = True
