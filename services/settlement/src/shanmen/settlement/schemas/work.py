"""What operators are told about stuck money, and ask to be done about it."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StrictInt, StringConstraints

from shanmen.settlement.domain.work import (
    ACTIONS,
    NEXT_STEPS,
    ActionStatus,
    Direction,
    ManualAction,
    WorkFamily,
    WorkKind,
    WorkStatus,
)
from shanmen.settlement.queries.rows import Record, Records
from shanmen.settlement.schemas.amounts import Fen

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]
Person = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
Reference = Annotated[str, StringConstraints(pattern=r"^[\x21-\x7e]{1,64}$")]
AmountFen = Annotated[
    StrictInt, Field(gt=0, le=10**13, description="In fen, 1/100 of a CNY yuan.")
]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Explanation(_Request):
    """Why a person does something."""

    note: Text = Field(description="Why; kept in the audit trail.")


class Approval(_Request):
    """What exactly is approved: it must be what was asked for."""

    amount_fen: StrictInt = Field(ge=0, description="The action's amount, in fen, as you saw it.")


class TopUpRequest(_Request):
    """Money that the owner moved into or out of the platform's account at a channel."""

    channel: str = Field(max_length=32, examples=["alipay"])
    amount_fen: AmountFen
    direction: Direction = Field(description="in 注资, out 提取")
    reference: Reference = Field(
        description="The number of the movement in the channel account's own statement."
    )
    note: Text


class Grant(_Request):
    """Who may approve from now on."""

    person: Person = Field(description="As their tokens name them.")


class WorkItemView(BaseModel):
    """Something that is stuck, or was."""

    item_id: str
    family: WorkFamily = Field(
        description="debit 扣款, payout 打款, refund 退款, subscribe 申购, redeem 赎回, "
        "liquidate 清算, break 对账差异"
    )
    kind: WorkKind
    status: WorkStatus = Field(description="open 待处理, resolved 已处理")
    subject_id: str = Field(description="The order of a debit, else the operation itself.")
    operation_id: str = Field(description="The number at the channel.")
    order_no: str | None
    spot_id: str | None
    distributor_id: str | None
    channel: str
    account_id: str = Field(description="The account that is paid, refunded or debited.")
    amount_fen: Fen
    code: str = Field(description="The channel's own code.")
    reason: str = Field(description="Why, in the channel's own words.")
    since: datetime = Field(description="When it got stuck.")
    next_step: str | None = Field(description="What to do next; null once resolved.")
    next_step_zh: str | None = Field(description="下一步")
    allowed: list[ManualAction] = Field(description="What can be done about it now.")
    opened_at: datetime
    updated_at: datetime
    resolved_at: datetime | None
    resolution: str | None
    resolved_by: str | None = Field(description="Null where it ended by itself.")
    note: str | None


class ActionView(BaseModel):
    """What a person did about money, or wants to do."""

    action_id: str
    item_id: str | None = Field(description="Null for top-ups, corrections and clearings.")
    action: ManualAction = Field(
        description="retry 人工重试, remit 人工汇款, refund 人工退款, settle_outside 线下结清, "
        "resolve 关闭, release 放行, adjust 调账, top_up 充值/提取, correct 冲正, "
        "clear 销账"
    )
    status: ActionStatus = Field(
        description="waiting 待审批, executed 已执行, rejected 已驳回, withdrawn 已撤回, "
        "lapsed 已失效"
    )
    subject_id: str
    amount_fen: Fen
    channel: str
    account_id: str | None = Field(description="The account that it pays.")
    direction: Direction | None
    note: str
    requested_by: str
    requested_at: datetime
    approved_by: str | None
    approved_at: datetime | None
    decided_by: str | None = Field(description="Who rejected or withdrew it.")
    decided_at: datetime | None
    decision_note: str | None
    executed_at: datetime | None
    result_operation_id: str | None = Field(
        description="The operation that is in charge since: the same number, or its successor."
    )


class WorkItemDetail(WorkItemView):
    """An item with all that people did about it, oldest first."""

    actions: list[ActionView]


class WorkSummary(BaseModel):
    """What waits of one kind."""

    kind: WorkKind
    items: int
    amount_fen: Fen
    oldest_since: datetime


class WorkSummaries(BaseModel):
    """What waits, by kind, and altogether."""

    kinds: list[WorkSummary]
    items: int
    amount_fen: Fen


class GrantView(BaseModel):
    """Who may or might approve, by whose grant, and until when."""

    grant_id: str
    person: str
    granted_by: str
    granted_at: datetime
    revoked_by: str | None
    revoked_at: datetime | None


class AuditRow(BaseModel):
    """One row of the audit trail."""

    seq: int
    at: datetime
    actor: str
    action: str
    subject: str
    details: str = Field(description="JSON, as the hash covers it.")
    prev_hash: str
    hash: str = Field(description="SHA-256 over the row and the hash of the one before.")


class AuditHead(BaseModel):
    """The end of the audit trail: note it elsewhere, and nothing before it can be cut off."""

    seq: int
    hash: str


# ── from rows ───────────────────────────────────────────────────────────────────────────────────


def work_item_view(row: Record) -> WorkItemView:
    """An item, with what can be done about it."""
    return WorkItemView.model_validate(_item(row))


def work_item_detail(row: Record, actions: Records) -> WorkItemDetail:
    """An item with its history."""
    return WorkItemDetail.model_validate(
        {**_item(row), "actions": [action_view(action) for action in actions]}
    )


def work_summaries(rows: Records) -> WorkSummaries:
    """What waits, by kind."""
    kinds = [WorkSummary.model_validate(row, from_attributes=True) for row in rows]
    return WorkSummaries(
        kinds=kinds,
        items=sum(kind.items for kind in kinds),
        amount_fen=sum(kind.amount_fen for kind in kinds),
    )


def action_view(row: Record) -> ActionView:
    """An action."""
    return ActionView.model_validate(row, from_attributes=True)


def grant_view(row: Record) -> GrantView:
    """A grant."""
    return GrantView.model_validate(row, from_attributes=True)


def _item(row: Record) -> dict[str, Any]:
    is_open = row.status == WorkStatus.OPEN
    step = NEXT_STEPS[WorkKind(row.kind)] if is_open else None
    return {
        **row._asdict(),
        "next_step": step and step.english,
        "next_step_zh": step and step.chinese,
        "allowed": ACTIONS[WorkKind(row.kind)] if is_open else (),
    }
