"""Where the money of an entitlement is, and how far a payment is. Pure."""

from enum import StrEnum
from typing import Final

from shanmen.common.money import Fen
from shanmen.common.statemachine import Machine, table


class Settlement(StrEnum):
    """结算状态: where the money of one entitlement is."""

    PENDING = "pending"
    """待处理: with the platform."""
    SETTLED = "settled"
    """已结算: paid to the spot after the visit."""
    SETTLE_FAILED = "settle_failed"
    """结算失败: the payout to the spot is parked or was refused."""
    REFUNDED = "refunded"
    """已退款: went back the way it came."""
    REFUND_FAILED = "refund_failed"
    """退款失败: the refund is parked or was refused."""
    FORFEITED = "forfeited"
    """无须退款: expired, and the product refunds nothing."""


SETTLEMENT: Final = Machine(
    "settlement",
    Settlement.PENDING,
    table(
        [
            (
                Settlement.PENDING,
                [
                    Settlement.SETTLED,
                    Settlement.SETTLE_FAILED,
                    Settlement.REFUNDED,
                    Settlement.REFUND_FAILED,
                    Settlement.FORFEITED,
                ],
            ),
            (Settlement.SETTLED, []),
            (Settlement.SETTLE_FAILED, [Settlement.SETTLED]),
            (Settlement.REFUNDED, []),
            (Settlement.REFUND_FAILED, [Settlement.REFUNDED]),
            (Settlement.FORFEITED, []),
        ]
    ),
)


class PayoutStatus(StrEnum):
    """打款状态: what became of one payment to a spot."""

    REQUESTED = "requested"
    """打款中: the gateway was asked to pay."""
    PAID = "paid"
    """已打款: the money has moved, for certain."""
    PARKED = "parked"
    """待人工处理: waits for something that time alone does not bring."""
    FAILED = "failed"
    """打款失败: under this number the money never will move, for certain."""


PAYOUT: Final = Machine(
    "payout",
    PayoutStatus.REQUESTED,
    table(
        [
            (
                PayoutStatus.REQUESTED,
                [PayoutStatus.PAID, PayoutStatus.PARKED, PayoutStatus.FAILED],
            ),
            (
                PayoutStatus.PARKED,
                [PayoutStatus.REQUESTED, PayoutStatus.PAID, PayoutStatus.FAILED],
            ),
            (PayoutStatus.PAID, []),
            (PayoutStatus.FAILED, []),
        ]
    ),
)


class RefundPaymentStatus(StrEnum):
    """退款单状态: what became of one refund to a distributor."""

    REQUESTED = "requested"
    """退款中: the gateway was asked to refund."""
    REFUNDED = "refunded"
    """已退款: the money has moved, for certain."""
    PARKED = "parked"
    """待人工处理: waits for something that time alone does not bring."""
    FAILED = "failed"
    """退款失败: under this number the money never will move, for certain."""


REFUND: Final = Machine(
    "refund",
    RefundPaymentStatus.REQUESTED,
    table(
        [
            (
                RefundPaymentStatus.REQUESTED,
                [
                    RefundPaymentStatus.REFUNDED,
                    RefundPaymentStatus.PARKED,
                    RefundPaymentStatus.FAILED,
                ],
            ),
            (
                RefundPaymentStatus.PARKED,
                [
                    RefundPaymentStatus.REQUESTED,
                    RefundPaymentStatus.REFUNDED,
                    RefundPaymentStatus.FAILED,
                ],
            ),
            (RefundPaymentStatus.REFUNDED, []),
            (RefundPaymentStatus.FAILED, []),
        ]
    ),
)


def payable_fen(settle_fen: int, settlement_fee_fen: int) -> Fen:
    """What a spot is paid for one visit: its settlement price less the settlement fee."""
    return Fen(settle_fen - settlement_fee_fen)
