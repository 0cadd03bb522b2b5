"""What settlement answers. Amounts are in fen, instants in UTC."""

from collections.abc import Mapping
from datetime import datetime
from itertools import groupby
from typing import Annotated, Final

from pydantic import BaseModel, Field

from shanmen.common.auth import Principal, PrincipalKind
from shanmen.common.pagination import Page
from shanmen.settlement.domain.ledger import (
    AccountKind,
    PostingKind,
    account_kind,
    balance_fen,
)
from shanmen.settlement.domain.statuses import (
    PayoutStatus,
    Settlement,
)
from shanmen.settlement.queries.rows import Record, Records

Fen = Annotated[int, Field(description="In fen, 1/100 of a CNY yuan.")]


class SettlementView(BaseModel):
    """The money of one entitlement: one ticket's right to enter one spot.

    A distributor sees what it paid (`part_fen`), a spot what it earns; the rest is null for them.
    """

    entitlement_id: str
    ticket_no: str = Field(description="票务编号")
    order_no: str
    product_id: str
    spot_id: str
    distributor_id: str | None
    status: Settlement = Field(
        description="结算状态: pending 待处理, settled 已结算, settle_failed 结算失败, "
        "refunded 已退款, refund_failed 退款失败, forfeited 无须退款"
    )
    reason: str | None = Field(description="Why it failed, in the channel's own words.")
    part_fen: Fen | None = Field(description="Its part of the distributor settlement price.")
    settle_fen: Fen | None = Field(description="景区结算价")
    settlement_fee_fen: Fen | None = Field(description="Taken off the payout.")
    payable_fen: Fen | None = Field(description="What the spot is paid after a visit.")
    account_id: str | None = Field(description="收款账户: the account that is paid.")
    channel: str | None
    payout_id: str | None
    issued_at: datetime
    used_at: datetime | None
    settled_at: datetime | None


class PayoutView(BaseModel):
    """One payment to a spot (打款); its number is also the number at the channel."""

    payout_id: str
    spot_id: str
    account_id: str
    channel: str
    amount_fen: Fen
    status: PayoutStatus = Field(
        description="requested 打款中, paid 已打款, parked 待人工处理, failed 打款失败"
    )
    reason: str | None
    requested_at: datetime
    finished_at: datetime | None


class PayoutLineView(BaseModel):
    """One visit that a payout pays."""

    entitlement_id: str
    ticket_no: str
    order_no: str
    amount_fen: Fen


class PayoutDetail(PayoutView):
    """A payout with all that it pays; the lines add up to its amount."""

    lines: list[PayoutLineView]


class AccountBalance(BaseModel):
    """One account of the ledger."""

    account: str = Field(examples=["cash:alipay", "payable:spt_06DZ", "fees"])
    kind: AccountKind
    debit_fen: Fen
    credit_fen: Fen
    balance_fen: Fen = Field(
        description="Assets: debits less credits; all others: credits less debits."
    )


class TrialBalance(BaseModel):
    """Balances of one page of accounts, and the totals of the whole ledger."""

    balanced: bool
    debit_fen: Fen
    credit_fen: Fen
    accounts: list[AccountBalance]
    next_cursor: str | None


class FactView(BaseModel):
    """A posting without its entries: the business fact that it books."""

    posting_id: int
    key: str = Field(description="Names the fact, and is unique.", examples=["payout:pay_06DZ"])
    kind: PostingKind
    order_no: str | None
    occurred_at: datetime
    recorded_at: datetime


class AccountEntryView(FactView):
    """One entry on one account; one of the amounts is zero."""

    debit_fen: Fen
    credit_fen: Fen


class EntryView(BaseModel):
    """One line of a posting; one of the amounts is zero."""

    account: str
    debit_fen: Fen
    credit_fen: Fen


class PostingView(FactView):
    """A posting; its debits equal its credits."""

    entries: list[EntryView]


# ── from rows ───────────────────────────────────────────────────────────────────────────────────

_HIDDEN: Final[Mapping[PrincipalKind, frozenset[str]]] = {
    PrincipalKind.OPERATOR: frozenset(),
    # What the other side pays or earns is between it and the platform.
    PrincipalKind.SPOT: frozenset({"distributor_id", "part_fen"}),
    PrincipalKind.DISTRIBUTOR: frozenset(
        {"settle_fen", "settlement_fee_fen", "payable_fen", "account_id", "channel", "payout_id"}
    ),
}


def settlement_view(row: Record, principal: Principal) -> SettlementView:
    """An entitlement's money, as far as it concerns the caller."""
    hidden = dict.fromkeys(_HIDDEN[principal.kind])
    return SettlementView.model_validate({**row._asdict(), **hidden})


def payout_view(row: Record) -> PayoutView:
    """A payout in a list."""
    return PayoutView.model_validate(row, from_attributes=True)


def payout_detail(row: Record, lines: Records) -> PayoutDetail:
    """A payout with its lines."""
    return PayoutDetail(
        **payout_view(row).model_dump(),
        lines=[PayoutLineView.model_validate(line, from_attributes=True) for line in lines],
    )


def account_balance(row: Record) -> AccountBalance:
    """An account out of its sums."""
    return AccountBalance(
        account=row.account,
        kind=account_kind(row.account),
        debit_fen=row.debit_fen,
        credit_fen=row.credit_fen,
        balance_fen=balance_fen(row.account, row.debit_fen, row.credit_fen),
    )


def trial_balance(totals: Record, page: Page[AccountBalance]) -> TrialBalance:
    """A page of accounts under the totals of the whole ledger."""
    return TrialBalance(
        balanced=totals.debit_fen == totals.credit_fen,
        debit_fen=totals.debit_fen,
        credit_fen=totals.credit_fen,
        accounts=page.items,
        next_cursor=page.next_cursor,
    )


def account_entry(row: Record) -> AccountEntryView:
    """An entry of an account."""
    return AccountEntryView.model_validate(row, from_attributes=True)


def posting_views(postings: Records, entries: Records) -> list[PostingView]:
    """Postings with their entries, which come in order of posting."""
    lines = {
        posting_id: [EntryView.model_validate(entry, from_attributes=True) for entry in group]
        for posting_id, group in groupby(entries, key=lambda entry: entry.posting_id)
    }
    return [
        PostingView(**posting._asdict(), entries=lines.get(posting.posting_id, []))
        for posting in postings
    ]
