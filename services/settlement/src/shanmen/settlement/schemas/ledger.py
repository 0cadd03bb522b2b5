"""The ledger: accounts, postings and entries."""

from datetime import datetime
from itertools import groupby

from pydantic import BaseModel, Field

from shanmen.common.pagination import Page
from shanmen.settlement.domain.ledger import AccountKind, PostingKind, account_kind, balance_fen
from shanmen.settlement.queries.rows import Record, Records
from shanmen.settlement.schemas.amounts import Fen


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
