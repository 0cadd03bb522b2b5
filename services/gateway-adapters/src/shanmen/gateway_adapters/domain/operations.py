"""What an operation with a channel is, and how far it can get."""

from datetime import datetime
from enum import StrEnum
from typing import Final

from shanmen.common.statemachine import Machine, table


class Channel(StrEnum):
    """A clearing channel."""

    ALIPAY = "alipay"  # 支付宝
    HUIJINBAO = "huijinbao"  # 汇金宝


class OperationKind(StrEnum):
    """What is asked of a channel."""

    DEBIT = "debit"  # 扣款: distributor → platform
    PAYOUT = "payout"  # 打款: platform → spot
    REFUND = "refund"  # 退款: platform → distributor, the way it came
    SUBSCRIBE = "subscribe"  # 理财申购: the platform's own account → its wealth product
    REDEEM = "redeem"  # 理财赎回: part of it back
    LIQUIDATE = "liquidate"  # 理财清算: all of it back, with its yield


WEALTH: Final = frozenset({OperationKind.SUBSCRIBE, OperationKind.REDEEM, OperationKind.LIQUIDATE})
"""Wealth management (理财) of the platform's own account, which Huijinbao alone offers."""


class Action(StrEnum):
    """What one attempt does."""

    SEND = "send"
    QUERY = "query"
    CANCEL = "cancel"


class Outcome(StrEnum):
    """What a channel's answer means, whatever its own codes are."""

    OK = "ok"
    """Done, for certain."""
    PENDING = "pending"
    """Accepted and not yet decided: ask again."""
    UNKNOWN = "unknown"
    """May or may not have happened. Never taken for a failure."""
    ABSENT = "absent"
    """A query's answer: the channel knows no such number (now)."""
    FUNDS = "funds"
    """The paying account is short. Same number again after a top-up."""
    THROTTLED = "throttled"
    """Not executed, come back later with the same number."""
    CONFLICT = "conflict"
    """The number is taken with other content: a defect, for a person."""
    FINAL = "final"
    """Refused for certain; this number can never succeed."""
    CONFIG = "config"
    """Refused because of a setting or contract of ours; alarm, for a person."""


class OperationStatus(StrEnum):
    """How far an operation is."""

    OPEN = "open"
    """处理中: being worked on; the next step is due at `next_at`."""
    PARKED = "parked"
    """挂起: waits for something that time alone does not bring."""
    SUCCEEDED = "succeeded"
    """成功: the money has moved, for certain."""
    FAILED = "failed"
    """失败: the money has not moved, for certain, and nothing more is sent under this number."""


OPERATION: Final = Machine(
    "operation",
    OperationStatus.OPEN,
    table(
        [
            (
                OperationStatus.OPEN,
                [OperationStatus.PARKED, OperationStatus.SUCCEEDED, OperationStatus.FAILED],
            ),
            # An answer that came late may still say that the money has moved.
            (OperationStatus.PARKED, [OperationStatus.OPEN, OperationStatus.SUCCEEDED]),
            (OperationStatus.SUCCEEDED, []),
            # So may a query that is made later still: a request of ours may have been on its way.
            (OperationStatus.FAILED, [OperationStatus.SUCCEEDED]),
        ]
    ),
)


def moment_of_success(
    moved_at: datetime | None, *, requested_at: datetime, now: datetime
) -> datetime:
    """The moment that a success is booked at: when its channel says that the money moved.

    The channel's bill has it on that day, however much later we learn of it. Its clock may be off
    and its seconds are whole: it is neither before the request nor after `now`, which is the
    moment if the channel says nothing.
    """
    return now if moved_at is None else min(max(moved_at, requested_at), now)
