"""What a channel's answer about an operation means for the work list. Pure."""

from collections.abc import Mapping
from typing import Final

from shanmen.settlement.domain.work import WorkFamily, WorkKind

OUT_OF_FUNDS: Final = "funds"
"""余额不足: the outcome of an operation whose payer is short of money."""

_WHEN_SHORT: Final[Mapping[WorkFamily, WorkKind]] = {
    WorkFamily.DEBIT: WorkKind.DEBIT_SHORT,
    WorkFamily.PAYOUT: WorkKind.PAYOUT_SHORT,
    WorkFamily.REFUND: WorkKind.REFUND_SHORT,
    WorkFamily.SUBSCRIBE: WorkKind.SUBSCRIBE_SHORT,
    WorkFamily.REDEEM: WorkKind.REDEEM_SHORT,
    WorkFamily.LIQUIDATE: WorkKind.LIQUIDATE_SHORT,
}
_WHEN_STUCK: Final[Mapping[WorkFamily, WorkKind]] = {
    WorkFamily.DEBIT: WorkKind.DEBIT_STUCK,
    WorkFamily.PAYOUT: WorkKind.PAYOUT_STUCK,
    WorkFamily.REFUND: WorkKind.REFUND_STUCK,
    WorkFamily.SUBSCRIBE: WorkKind.SUBSCRIBE_STUCK,
    WorkFamily.REDEEM: WorkKind.REDEEM_STUCK,
    WorkFamily.LIQUIDATE: WorkKind.LIQUIDATE_STUCK,
}


def kind_when_stuck(family: WorkFamily, outcome: str) -> WorkKind:
    """The kind of work that a parked operation is: the outcome tells whether money is short."""
    return (_WHEN_SHORT if outcome == OUT_OF_FUNDS else _WHEN_STUCK)[family]
