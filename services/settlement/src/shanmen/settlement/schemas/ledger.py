"""The ledger: accounts, postings and entries."""

from collections.abc import Iterable
from datetime import datetime
from itertools import groupby
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from shanmen.common.pagination import Page
from shanmen.settlement.domain.ledger import AccountKind, PostingKind, account_kind, balance_fen
from shanmen.settlement.queries.rows import Record, Records
from shanmen.settlement.schemas.amounts import Fen

Reason = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]
PostingKey = Annotated[str, StringConstraints(pattern=r"^[\x21-\x7e]{1,200}$")]


class CorrectionRequest(BaseModel):
    """A posting that was entered wrongly, and why it is undone."""

    model_config = ConfigDict(extra="forbid")

    posting_key: PostingKey = Field(
        description="The key of a posting of kind owner_in 注资 or owner_out 提取.",
        examples=["owner:act_06DZ"],
    )
    reason: Reason = Field(description="Why; kept in the audit trail.")


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

    at: datetime | None = Field(description="Of all that occurred until then; null for all.")
    recorded_by: datetime | None = Field(
        description="Of what was recorded by then; null for all that is recorded now."
    )
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


class StatementLine(AccountEntryView):
    """One entry on one account, and the balance after it."""

    balance_fen: Fen


class StatementView(BaseModel):
    """What happened on one account in a period (分户账), oldest first, page by page."""

    account: str
    kind: AccountKind
    start: datetime = Field(serialization_alias="from", description="Entries at or after this.")
    end: datetime = Field(serialization_alias="to", description="Entries before this.")
    recorded_by: datetime | None
    opening_fen: Fen = Field(description="期初余额: the balance when the period begins.")
    closing_fen: Fen = Field(description="期末余额: the balance when the period ends.")
    items: list[StatementLine]
    next_cursor: str | None


class EntryView(BaseModel):
    """One line of a posting; one of the amounts is zero."""

    account: str
    debit_fen: Fen
    credit_fen: Fen


class PostingView(FactView):
    """A posting; its debits equal its credits."""

    entries: list[EntryView]


# ── from rows ───────────────────────────────────────────────────────────────────────────────────


def account_balance(row: Record) -> AccountBalance:
    """An account out of its sums."""
    return AccountBalance(
        account=row.account,
        kind=account_kind(row.account),
        debit_fen=row.debit_fen,
        credit_fen=row.credit_fen,
        balance_fen=balance_fen(row.account, row.debit_fen, row.credit_fen),
    )


def trial_balance(
    totals: Record,
    page: Page[AccountBalance],
    *,
    at: datetime | None,
    recorded_by: datetime | None,
) -> TrialBalance:
    """A page of accounts under the totals of the whole ledger."""
    return TrialBalance(
        at=at,
        recorded_by=recorded_by,
        balanced=totals.debit_fen == totals.credit_fen,
        debit_fen=totals.debit_fen,
        credit_fen=totals.credit_fen,
        accounts=page.items,
        next_cursor=page.next_cursor,
    )


def account_entry(row: Record) -> AccountEntryView:
    """An entry of an account."""
    return AccountEntryView.model_validate(row, from_attributes=True)


def statement_lines(lines: Iterable[tuple[Record, int]]) -> list[StatementLine]:
    """Entries with the balances after them."""
    return [StatementLine(**entry._asdict(), balance_fen=after_fen) for entry, after_fen in lines]


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
