"""What the gateway answers about a channel's books (HTTP): its bills, and wealth positions."""

from datetime import date, datetime
from enum import StrEnum

from pydantic import AwareDatetime

from shanmen.contracts.terms import Wire


class BillDirection(StrEnum):
    """Which way money went, seen from the platform's own account at the channel."""

    IN = "in"
    """收入: into the account."""
    OUT = "out"
    """支出: out of the account."""


class BillFile(Wire):
    """One file of a channel's bill (账单) for a day, as it was downloaded and read."""

    bill_type: str
    """The channel's own name of it: `trade`, `signcustomer`; `TRADE`, `WEALTH`, `ACCOUNT`."""
    sha256: str
    """Of the file as it came."""
    rows: int
    sum_in_fen: int
    sum_out_fen: int
    fetched_at: AwareDatetime


class KnownOperation(Wire):
    """What the gateway knows itself of the number on a line."""

    kind: str
    status: str
    amount_fen: int


class BillLine(Wire):
    """One row of a bill: what the channel says has moved."""

    bill_type: str
    line: int
    """Its place in the file, the first line being 1."""
    number: str
    """Our number, as the channel carries it; empty where it names none."""
    original_number: str | None = None
    """The debit that a refund gives back, where the bill names it."""
    direction: BillDirection
    amount_fen: int
    """Always positive: `direction` says which way."""
    fee_fen: int = 0
    """What the channel charged for it (服务费), positive where it cost us."""
    succeeded: bool = True
    """Whether the channel says that the money has moved."""
    business_type: str
    """The channel's own word for it, such as 退款 or `transfer`."""
    channel_ref: str
    at: datetime
    known: KnownOperation | None = None


class BillHead(Wire):
    """The first line of an answer about a bill; a BillLine each follow, and a BillEnd."""

    channel: str
    bill_date: date
    files: tuple[BillFile, ...]


class BillEnd(Wire):
    """The last line of an answer about a bill: what came before it is whole."""

    rows: int


class WealthPosition(Wire):
    """What the channel says is invested for a product at this moment. Amounts in fen."""

    product_id: str
    principal_fen: int
    pending_in_fen: int
    pending_out_fen: int
    accrued_fen: int
    """Yield earned so far and not paid out."""
    as_of: AwareDatetime
