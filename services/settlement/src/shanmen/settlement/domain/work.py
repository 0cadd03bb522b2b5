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
    SUBSCRIBE = "subscribe"
    """理财申购: an order's price on its way into the wealth product; the subject is the move."""
    REDEEM = "redeem"
    """理财赎回: an entitlement's part on its way out of it; the subject is the move."""
    LIQUIDATE = "liquidate"
    """理财清算: all that is left of a product, at its end; the subject is the move."""
    BREAK = "break"
    """对账差异: the channel's bill and the ledger differ; the subject is the break."""


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
    SUBSCRIBE_SHORT = "subscribe_short"
    """平台余额不足, 待申购: the platform's channel account is short of a subscription."""
    SUBSCRIBE_STUCK = "subscribe_stuck"
    """申购待人工处理: nobody can tell what became of a subscription, or the channel refuses us."""
    SUBSCRIBE_REFUSED = "subscribe_refused"
    """申购被拒: the channel refused a subscription for good."""
    REDEEM_SHORT = "redeem_short"
    """理财余额不足, 待赎回: the channel says that less is invested than is to come out."""
    REDEEM_STUCK = "redeem_stuck"
    """赎回待人工处理: nobody can tell what became of a redemption, or the channel refuses us."""
    REDEEM_REFUSED = "redeem_refused"
    """赎回被拒: the channel refused a redemption for good."""
    LIQUIDATE_SHORT = "liquidate_short"
    """理财余额不足, 待清算: the channel says that it cannot pay out all that is left."""
    LIQUIDATE_STUCK = "liquidate_stuck"
    """清算待人工处理: nobody can tell what became of a liquidation, or the channel refuses us."""
    LIQUIDATE_REFUSED = "liquidate_refused"
    """清算被拒: the channel refused a liquidation for good."""
    BREAK_MISSING_HERE = "break_missing_here"
    """我方缺失: the bill has a movement that the ledger has not."""
    BREAK_MISSING_THERE = "break_missing_there"
    """渠道缺失: the ledger has a movement that the bill has not."""
    BREAK_AMOUNT = "break_amount"
    """金额不符: both have it, by different amounts."""
    BREAK_STATUS = "break_status"
    """状态不符: the channel says that it moved, and here it has not; or the reverse."""

    @property
    def family(self) -> WorkFamily:
        """What is stuck."""
        return WorkFamily(self.value.partition("_")[0])


PLATFORM_IS_SHORT: Final = frozenset(
    {WorkKind.PAYOUT_SHORT, WorkKind.REFUND_SHORT, WorkKind.SUBSCRIBE_SHORT}
)
"""One top-up of the channel account cures all of them: operators hear of them once together."""

TOLD_BY_OTHERS: Final = frozenset({WorkKind.DEBIT_SHORT})
"""Nothing that operators could cure: orders tells the distributor."""


@dataclass(frozen=True)
class Stuck:
    """What waits for a person: an operation or a difference, as it is now.

    `subject_id` is what WorkFamily says, `operation_id` the number at the channel; `reason` and
    `code` are the channel's own.
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
    RELEASE = "release"
    """放行: pay or refund what waits for a redemption; what is invested comes out at the end."""
    ADJUST = "adjust"
    """调账: book what the channel's bill says against suspense, for a person to explain."""
    CORRECT = "correct"
    """冲正: undo a posting that a person entered wrongly, by one to the contrary."""
    CLEAR = "clear"
    """销账: move what a posting left in suspense to where it belongs."""


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
    WorkKind.SUBSCRIBE_SHORT: (ManualAction.RETRY, ManualAction.RESOLVE),
    WorkKind.SUBSCRIBE_STUCK: (ManualAction.RETRY, ManualAction.RESOLVE),
    WorkKind.SUBSCRIBE_REFUSED: (ManualAction.RETRY, ManualAction.RESOLVE),
    WorkKind.REDEEM_SHORT: (ManualAction.RETRY, ManualAction.RELEASE, ManualAction.RESOLVE),
    WorkKind.REDEEM_STUCK: (ManualAction.RETRY, ManualAction.RELEASE, ManualAction.RESOLVE),
    WorkKind.REDEEM_REFUSED: (ManualAction.RETRY, ManualAction.RELEASE, ManualAction.RESOLVE),
    WorkKind.LIQUIDATE_SHORT: (ManualAction.RETRY, ManualAction.RELEASE, ManualAction.RESOLVE),
    WorkKind.LIQUIDATE_STUCK: (ManualAction.RETRY, ManualAction.RELEASE, ManualAction.RESOLVE),
    WorkKind.LIQUIDATE_REFUSED: (ManualAction.RETRY, ManualAction.RELEASE, ManualAction.RESOLVE),
    WorkKind.BREAK_MISSING_HERE: (ManualAction.ADJUST, ManualAction.RESOLVE),
    WorkKind.BREAK_MISSING_THERE: (ManualAction.ADJUST, ManualAction.RESOLVE),
    WorkKind.BREAK_AMOUNT: (ManualAction.ADJUST, ManualAction.RESOLVE),
    WorkKind.BREAK_STATUS: (ManualAction.RETRY, ManualAction.RESOLVE),
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
    WorkKind.SUBSCRIBE_SHORT: NextStep(
        "Top the platform's channel account up, then retry; tickets and visits go on meanwhile.",
        "为平台渠道账户充值后人工重试, 出票与验票不受影响",
    ),
    WorkKind.SUBSCRIBE_STUCK: NextStep(
        "Look the subscription up at the channel, remove the cause, then retry.",
        "在渠道后台核实该笔申购, 排除原因后人工重试",
    ),
    WorkKind.SUBSCRIBE_REFUSED: NextStep(
        "Clear the reason up with the channel, then retry; or resolve: it stays uninvested.",
        "与渠道核实原因后人工重试, 或关闭 (该笔不再理财)",
    ),
    WorkKind.REDEEM_SHORT: NextStep(
        "Compare the position with the channel, then retry; or release the payment.",
        "与渠道核对理财持仓后人工重试, 或放行付款",
    ),
    WorkKind.REDEEM_STUCK: NextStep(
        "Look the redemption up at the channel, then retry; or release the payment.",
        "在渠道后台核实该笔赎回后人工重试, 或放行付款",
    ),
    WorkKind.REDEEM_REFUSED: NextStep(
        "Clear the reason up with the channel, then retry; or release the payment.",
        "与渠道核实原因后人工重试, 或放行付款",
    ),
    WorkKind.LIQUIDATE_SHORT: NextStep(
        "Compare the position with the channel, then retry; or release what waits for it.",
        "与渠道核对理财持仓后人工重试, 或放行待退款项",
    ),
    WorkKind.LIQUIDATE_STUCK: NextStep(
        "Look the liquidation up at the channel, then retry; or release what waits for it.",
        "在渠道后台核实该笔清算后人工重试, 或放行待退款项",
    ),
    WorkKind.LIQUIDATE_REFUSED: NextStep(
        "Clear the reason up with the channel, then retry; or release what waits for it.",
        "与渠道核实原因后人工重试, 或放行待退款项",
    ),
    WorkKind.BREAK_MISSING_HERE: NextStep(
        "Find out what moved; record a top-up under its number, or adjust into suspense.",
        "查明资金来源, 以该流水号登记充值/提取, 或调账至待查",
    ),
    WorkKind.BREAK_MISSING_THERE: NextStep(
        "Ask the channel for it; reconcile again once its bill is corrected, or adjust.",
        "向渠道核实, 账单更正后重新对账, 或调账至待查",
    ),
    WorkKind.BREAK_AMOUNT: NextStep(
        "Ask the channel which amount is right, then adjust the difference into suspense.",
        "向渠道核实正确金额, 差额调账至待查",
    ),
    WorkKind.BREAK_STATUS: NextStep(
        "Have the channel asked about this number again; then reconcile again.",
        "重新查询该流水号的渠道状态, 然后重新对账",
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
