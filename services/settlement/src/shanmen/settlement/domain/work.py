"""The operators' work list: what waits for a person, and what a person may do about it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from shanmen.common.statemachine import Machine, table


class WorkFamily(StrEnum):
    """Which kind of operation is stuck."""

    DEBIT = "debit"
    """扣款: a distributor's payment; the subject is the order."""
    PAYOUT = "payout"
    """打款: a payment to a spot; the subject is the payout."""
    REFUND = "refund"
    """退款: money on its way back to a distributor; the subject is the refund."""


class WorkKind(StrEnum):
    """Why something is on the list."""

    DEBIT_SHORT = "debit_short"
    """经销商余额不足: the distributor has to top its account up."""
    DEBIT_STUCK = "debit_stuck"
    """扣款待人工处理: nobody can tell what became of a debit, or the channel refuses us."""
    PAYOUT_SHORT = "payout_short"
    """平台余额不足, 待打款: the platform's channel account is short of a payout."""
    PAYOUT_STUCK = "payout_stuck"
    """打款待人工处理: nobody can tell what became of a payout, or the channel refuses us."""
    PAYOUT_REFUSED = "payout_refused"
    """打款被拒: the channel refused a payout for good, mostly because of its receiver."""
    REFUND_SHORT = "refund_short"
    """平台余额不足, 待退款: the platform's channel account is short of a refund."""
    REFUND_STUCK = "refund_stuck"
    """退款待人工处理: nobody can tell what became of a refund, or the channel refuses us."""
    REFUND_REFUSED = "refund_refused"
    """退款被拒: the channel refused a refund for good."""

    @property
    def family(self) -> WorkFamily:
        """What is stuck."""
        return WorkFamily(self.value.partition("_")[0])


PLATFORM_IS_SHORT: Final = frozenset({WorkKind.PAYOUT_SHORT, WorkKind.REFUND_SHORT})
"""One top-up of the channel account cures all of them: operators hear of them once together."""

TOLD_BY_OTHERS: Final = frozenset({WorkKind.DEBIT_SHORT})
"""Nothing that operators could cure: orders tells the distributor."""


@dataclass(frozen=True)
class Stuck:
    """What waits for a person: a debit, payout or refund, as it is now.

    `subject_id` is the order of a debit, else the payout or refund; `operation_id` the number at
    the channel; `reason` and `code` are the channel's own.
    """

    family: WorkFamily
    kind: WorkKind
    subject_id: str
    operation_id: str
    reason: str
    code: str
    since: datetime
    amount_fen: int
    channel: str
    account_id: str
    order_no: str | None = None
    spot_id: str | None = None
    distributor_id: str | None = None


class WorkStatus(StrEnum):
    """Whether an item still waits."""

    OPEN = "open"
    """待处理: something is stuck behind it."""
    RESOLVED = "resolved"
    """已处理: what was stuck has ended."""


class ManualAction(StrEnum):
    """What a person can do about money."""

    RETRY = "retry"
    """人工重试: go on with the same operation, under its own number."""
    REMIT = "remit"
    """人工汇款: pay the spot; by a new payout to its present account if the old was refused."""
    REFUND = "refund"
    """人工退款: refund; by a new refund if the old was refused."""
    SETTLE_OUTSIDE = "settle_outside"
    """线下结清: declare that it was paid outside of the platform."""
    RESOLVE = "resolve"
    """关闭: take an item off the list behind which nothing is stuck any more."""
    TOP_UP = "top_up"
    """充值/提取: record money that the owner moved into or out of a channel account."""
    CORRECT = "correct"
    """冲正: undo a posting that a person entered wrongly, by one to the contrary."""


MOVES_MONEY: Final = frozenset(ManualAction) - {ManualAction.RESOLVE}
"""Above the set amount, these need a second person."""

ACTIONS: Final[Mapping[WorkKind, tuple[ManualAction, ...]]] = {
    WorkKind.DEBIT_SHORT: (ManualAction.RESOLVE,),
    WorkKind.DEBIT_STUCK: (ManualAction.RETRY, ManualAction.RESOLVE),
    WorkKind.PAYOUT_SHORT: (ManualAction.RETRY, ManualAction.REMIT, ManualAction.RESOLVE),
    WorkKind.PAYOUT_STUCK: (ManualAction.RETRY, ManualAction.REMIT, ManualAction.RESOLVE),
    WorkKind.PAYOUT_REFUSED: (
        ManualAction.REMIT,
        ManualAction.SETTLE_OUTSIDE,
        ManualAction.RESOLVE,
    ),
    WorkKind.REFUND_SHORT: (ManualAction.RETRY, ManualAction.REFUND, ManualAction.RESOLVE),
    WorkKind.REFUND_STUCK: (ManualAction.RETRY, ManualAction.REFUND, ManualAction.RESOLVE),
    WorkKind.REFUND_REFUSED: (
        ManualAction.REFUND,
        ManualAction.SETTLE_OUTSIDE,
        ManualAction.RESOLVE,
    ),
}
"""What can be done about each kind. Where the number is still alive it is used again; only where
it is dead for certain may money go another way, so that nothing is ever paid twice."""


@dataclass(frozen=True)
class NextStep:
    """What a person should do next, in both languages."""

    english: str
    chinese: str


NEXT_STEPS: Final[Mapping[WorkKind, NextStep]] = {
    WorkKind.DEBIT_SHORT: NextStep(
        "Wait for the distributor: it tops its account up and asks for payment again.",
        "等待经销商充值后重新发起支付",
    ),
    WorkKind.DEBIT_STUCK: NextStep(
        "Look the operation up at the channel, remove the cause, then retry.",
        "在渠道后台核实该笔扣款, 排除原因后人工重试",
    ),
    WorkKind.PAYOUT_SHORT: NextStep(
        "Top the platform's channel account up, then remit.",
        "为平台渠道账户充值后人工汇款",
    ),
    WorkKind.PAYOUT_STUCK: NextStep(
        "Look the payout up at the channel, remove the cause, then remit.",
        "在渠道后台核实该笔打款, 排除原因后人工汇款",
    ),
    WorkKind.PAYOUT_REFUSED: NextStep(
        "Have the spot correct its receive account, then remit; or settle outside.",
        "请景区更正收款账户后人工汇款, 或线下结清",
    ),
    WorkKind.REFUND_SHORT: NextStep(
        "Top the platform's channel account up, then refund.",
        "为平台渠道账户充值后人工退款",
    ),
    WorkKind.REFUND_STUCK: NextStep(
        "Look the refund up at the channel, remove the cause, then refund.",
        "在渠道后台核实该笔退款, 排除原因后人工退款",
    ),
    WorkKind.REFUND_REFUSED: NextStep(
        "Clear the reason up with the channel, then refund; or settle outside.",
        "与渠道核实原因后人工退款, 或线下结清",
    ),
}


class ActionStatus(StrEnum):
    """How far a manual action is."""

    WAITING = "waiting"
    """待审批: for another person's approval."""
    EXECUTED = "executed"
    """已执行: it has been done."""
    REJECTED = "rejected"
    """已驳回: the other person said no."""
    WITHDRAWN = "withdrawn"
    """已撤回: who asked for it took it back."""
    LAPSED = "lapsed"
    """已失效: what it was for ended by itself."""


MANUAL_ACTION: Final = Machine(
    "manual_action",
    ActionStatus.WAITING,
    table(
        [
            (
                ActionStatus.WAITING,
                [
                    ActionStatus.EXECUTED,
                    ActionStatus.REJECTED,
                    ActionStatus.WITHDRAWN,
                    ActionStatus.LAPSED,
                ],
            ),
            (ActionStatus.EXECUTED, []),
            (ActionStatus.REJECTED, []),
            (ActionStatus.WITHDRAWN, []),
            (ActionStatus.LAPSED, []),
        ]
    ),
)


class Direction(StrEnum):
    """Which way the owner's money went, seen from the platform's channel account."""

    IN = "in"
    """注资: into the account."""
    OUT = "out"
    """提取: out of the account."""


def needs_second_person(action: ManualAction, amount_fen: int, four_eyes_above_fen: int) -> bool:
    """Whether an action waits for another person's approval."""
    return action in MOVES_MONEY and amount_fen > four_eyes_above_fen
