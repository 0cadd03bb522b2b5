"""What operators ask of reconciliation, and are told: runs, days, breaks, and suspense."""

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StringConstraints

from shanmen.settlement.domain.ledger import PostingKind
from shanmen.settlement.domain.reconciliation import (
    BreakClass,
    BreakStatus,
    Comparison,
    Difference,
    Place,
    reason_of,
)
from shanmen.settlement.domain.suspense import ClearTo
from shanmen.settlement.domain.work import ACTIONS, NEXT_STEPS, ManualAction
from shanmen.settlement.queries.reconciliation import DayState
from shanmen.settlement.queries.rows import Record, Records
from shanmen.settlement.schemas.amounts import Fen
from shanmen.settlement.schemas.work import Text

ChannelName = Annotated[str, StringConstraints(max_length=32)]

MOST_SHOWN = 200
"""Breaks in the answer to a run; all of a kept run are listed under `/v1/breaks`."""


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ReconciliationRequest(_Request):
    """Which day of which channel is to be compared with its bill."""

    channel: ChannelName = Field(examples=["alipay"])
    bill_date: date = Field(description="The day of the bill, Beijing time; it must be over.")
    dry_run: StrictBool = Field(default=False, description="Compare, answer, and keep nothing.")
    refetch: StrictBool = Field(default=False, description="Ask the channel for its bill again.")


class ClearingRequest(_Request):
    """Where money belongs that is in suspense."""

    to: ClearTo = Field(description="owner 注资/提取, fees 手续费, margin 差价")
    note: Text = Field(description="What explains it; kept in the audit trail.")


class BillSums(BaseModel):
    """One file of the bill, with its sums and those of the ledger's movements of that day."""

    bill_type: str
    sha256: str
    rows: int
    theirs_in_fen: Fen
    theirs_out_fen: Fen
    ours_in_fen: Fen
    ours_out_fen: Fen


class PlaceView(BaseModel):
    """Where a break is."""

    bill_type: str
    number: str = Field(description="The number that this bill has it under.")
    line: int | None = Field(description="The row's place in the file; null where it has none.")


class DifferenceView(BaseModel):
    """One difference of the ledger and the bill."""

    bill_date: date
    break_class: BreakClass = Field(
        description="missing_here 我方缺失, missing_there 渠道缺失, amount 金额不符, "
        "status 状态不符"
    )
    number: str
    direction: str = Field(description="Seen from our account: in 收入, out 支出.")
    ours_fen: Fen
    theirs_fen: Fen
    places: list[PlaceView]
    channel_ref: str
    business_type: str = Field(description="The channel's own word for it.")
    posting_key: str | None = Field(description="The ledger's posting, where it has one.")
    order_no: str | None
    ours_at: datetime | None
    theirs_at: datetime | None
    reason: str = Field(description="The same in words.")


class BreakView(DifferenceView):
    """A break (对账差异)."""

    break_id: str
    channel: str
    status: BreakStatus = Field(description="open 未处理, resolved 已处理")
    cash_effect_fen: Fen = Field(
        description="What an adjustment books to cash; 0 where only another bill differs."
    )
    first_seen_run: str
    last_seen_run: str
    opened_at: datetime
    resolved_at: datetime | None
    resolved_how: str | None = Field(
        description="explained: a run did not find it any more; adjusted 已调账; accepted 已关闭"
    )
    resolved_by: str | None = Field(description="The run, or the person.")
    item_id: str | None = Field(description="Its open work item, where it is acted on.")
    next_step: str | None
    next_step_zh: str | None = Field(description="下一步")
    allowed: list[ManualAction]


class RunView(BaseModel):
    """A run of reconciliation (对账)."""

    run_id: str | None = Field(description="Null for a dry run.")
    channel: str
    bill_date: date
    started_by: str = Field(description="A person, or `schedule`.")
    started_at: datetime
    finished_at: datetime
    has_previous: bool = Field(description="The bill of the day before was compared, too.")
    has_next: bool = Field(description="The bill of the day after was compared, too.")
    files: list[BillSums]
    matched: int = Field(description="Rows of the bill that the ledger has.")
    waiting: int = Field(description="Movements near midnight that the next bill may have.")
    breaks: int = Field(description="All differences: the sum of the four classes below.")
    missing_here: int
    missing_there: int
    amount_differs: int
    status_differs: int
    opened: int = Field(description="Breaks that are new.")
    resolved: int = Field(description="Breaks that were not found any more.")


class RunReport(RunView):
    """A run that was made just now, with what it found: the first 200 differences."""

    dry_run: bool
    differences: list[DifferenceView]


class DayView(BaseModel):
    """A day of a channel."""

    channel: str
    bill_date: date
    state: str = Field(description="missing 未对账, breaks 有差异, reconciled 已对平")
    open_breaks: int
    run_id: str | None = Field(description="Its last run.")
    finished_at: datetime | None


class Days(BaseModel):
    """Days, newest first."""

    items: list[DayView]


class SuspenseItem(BaseModel):
    """What a posting left in suspense."""

    posting_key: str
    kind: PostingKind = Field(description="adjustment 调账, unexplained 待查")
    channel: str
    number: str
    order_no: str | None
    amount_fen: Fen = Field(description="Above zero it came in, below zero it went out.")
    since: datetime


class Suspense(BaseModel):
    """All that is in suspense (待查), oldest first; the total is the ledger's balance of it."""

    total_fen: Fen
    items: list[SuspenseItem]


# ── from rows ───────────────────────────────────────────────────────────────────────────────────


_COUNTS = ("missing_here", "missing_there", "amount_differs", "status_differs")


def run_view(row: Record) -> RunView:
    """A run."""
    run = row._asdict()
    return RunView.model_validate({**run, "breaks": _breaks(run)})


def run_report(compared: Comparison, *, dry_run: bool) -> RunReport:
    """A run with what it found."""
    differences = compared.findings.differences[:MOST_SHOWN]
    return RunReport.model_validate(
        {
            **compared.run,
            "breaks": _breaks(compared.run),
            "dry_run": dry_run,
            "differences": [_difference(each) for each in differences],
        }
    )


def _breaks(run: Mapping[str, Any]) -> int:
    return sum(int(run[name]) for name in _COUNTS)


def break_view(row: Record) -> BreakView:
    """A break, with what can be done about it."""
    break_class, is_open = BreakClass(row.break_class), row.item_id is not None
    step = NEXT_STEPS[break_class.work_kind] if is_open else None
    each = Difference(
        **{name: getattr(row, name) for name in _PLAIN},
        break_class=break_class,
        places=tuple(Place(*place) for place in row.places),
    )
    return BreakView.model_validate(
        {
            **row._asdict(),
            "places": [place._asdict() for place in each.places],
            "posting_key": row.fact,
            "reason": reason_of(each),
            "next_step": step and step.english,
            "next_step_zh": step and step.chinese,
            "allowed": ACTIONS[break_class.work_kind] if is_open else (),
        }
    )


def day_views(states: Iterable[DayState]) -> Days:
    """Days of a channel."""
    return Days(items=[_day(state) for state in states])


def suspense_view(rows: Records) -> Suspense:
    """What is in suspense."""
    items = [
        SuspenseItem.model_validate(
            {**row._asdict(), "posting_key": row.key, "since": row.occurred_at}
        )
        for row in rows
    ]
    return Suspense(total_fen=sum(item.amount_fen for item in items), items=items)


def _difference(each: Difference) -> dict[str, Any]:
    plain = {name: getattr(each, name) for name in (*_PLAIN, "break_class")}
    places = [place._asdict() for place in each.places]
    return {**plain, "places": places, "posting_key": each.fact, "reason": reason_of(each)}


_PLAIN = (
    *("bill_date", "number", "direction", "ours_fen", "theirs_fen", "channel_ref"),
    *("business_type", "fact", "order_no", "ours_at", "theirs_at"),
)


def _day(state: DayState) -> DayView:
    name = "missing" if state.run is None else "breaks" if state.open_breaks else "reconciled"
    return DayView(
        channel=state.channel,
        bill_date=state.day,
        state=name,
        open_breaks=state.open_breaks,
        run_id=state.run.run_id if state.run is not None else None,
        finished_at=state.run.finished_at if state.run is not None else None,
    )
