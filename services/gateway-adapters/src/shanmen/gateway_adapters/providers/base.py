"""The port that every clearing channel is seen through.

A provider turns one instruction into one call and one verified answer. It never retries, never
decides what comes next, and never raises for trouble at the channel: a time-out, a broken
connection or an answer whose signature does not verify is an `Answer` with `Outcome.UNKNOWN`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Final, Protocol

from shanmen.contracts.bills import BillLine, WealthPosition
from shanmen.gateway_adapters.domain.operations import Channel, OperationKind, Outcome


@dataclass(frozen=True)
class Counterparty:
    """The other side's account at the channel, as it was when the order was placed.

    `agreement_no` is the withholding agreement of a distributor's pay account; a payout needs
    `account_name`, which the channel checks against the account.
    """

    account_no: str
    account_name: str
    agreement_no: str | None = None


OWN_ACCOUNT: Final = Counterparty("", "")
"""No other side: the platform's own account, which its provider knows."""


@dataclass(frozen=True)
class Instruction:
    """What is asked of a channel. Resending the same number always carries the same content.

    `number` is the idempotency key at the channel, one per operation for its whole life.
    `business_ref` says what it is about: an order, a spot or, of a wealth operation, a product. A
    refund names the debit that it gives back in `original_number`.
    """

    number: str
    kind: OperationKind
    amount_fen: int
    counterparty: Counterparty
    subject: str
    business_ref: str = ""
    original_number: str | None = None


class Contact(StrEnum):
    """Whether a call reached its channel, as far as anyone can tell."""

    VERIFIED = "verified"
    """It answered, and the answer is the channel's own."""
    SILENT = "silent"
    """It was called, and there is no answer that could be verified."""
    NOT_CALLED = "not_called"
    """The call was not made, for a reason of ours."""


@dataclass(frozen=True)
class Answer:
    """What a channel said to one call, mapped to an outcome; `raw` is kept as it came.

    `code` and `sub_code` are the channel's own (or `transport` and the kind of trouble), `reason`
    is fit to be shown to an operator. `channel_ref` is the channel's number for the operation.
    `principal_fen` and `yield_fen` are what a redemption or liquidation brought: both or none.
    `moved_at`, in UTC, is when the money moved by the channel's own clock, of a success that says
    so.
    `listed` is false when the code is in none of our tables: unknown, and worth an alarm.
    `contact` says what the call tells of the channel itself.
    """

    outcome: Outcome
    code: str
    reason: str
    sub_code: str = ""
    channel_ref: str | None = None
    amount_fen: int | None = None
    principal_fen: int | None = None
    yield_fen: int | None = None
    moved_at: datetime | None = None
    listed: bool = True
    raw: bytes = field(default=b"", repr=False)
    contact: Contact = Contact.VERIFIED


@dataclass(frozen=True)
class Notification:
    """A verified message from the channel about one of our numbers: a hint to query, no more."""

    notification_id: str
    number: str
    status: str
    amount_fen: int | None


class NotificationRefused(Exception):
    """A notification that must not be believed.

    `code` is one of `bad_signature`, `foreign_app`, `malformed`.
    """

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


@dataclass(frozen=True)
class Balance:
    """What the platform's account at a channel holds, in fen, as the channel reports it."""

    channel: Channel
    available_fen: int
    as_of: datetime


@dataclass(frozen=True)
class BillDownload:
    """One file of a channel's bill (账单) of a day in China, as it came.

    `bill_type` is the channel's own name of it.
    """

    channel: Channel
    bill_date: date
    bill_type: str
    content: bytes = field(repr=False)


class Provider(Protocol):
    """One clearing channel."""

    channel: Channel
    bill_types: tuple[str, ...]
    """The files that its bill of a day consists of."""

    async def send(self, instruction: Instruction) -> Answer:
        """Ask for the money to move. Safe to repeat with an identical instruction."""

    async def query(self, instruction: Instruction) -> Answer:
        """Ask what became of it. `Outcome.ABSENT`: the channel knows no such number."""

    async def cancel(self, instruction: Instruction) -> Answer:
        """Ask that a debit never happen, or be undone. `Outcome.OK`: it is certain now."""

    async def balance(self) -> Balance:
        """The platform's own balance. Raises BalanceUnavailable."""

    async def bill(self, day: date) -> tuple[BillDownload, ...]:
        """The bill of a day: a file of each of `bill_types`.

        Raises BillNotReady or BillUnavailable.
        """

    def read_bill(self, file: BillDownload) -> Iterator[BillLine]:
        """The rows of a file of this channel, one after the other; nothing is asked of it.

        Raises BillUnreadable, at the end too: what the file says of its own rows is checked there.
        """

    async def position(self, product_id: str) -> WealthPosition:
        """What is invested for a product. Raises PositionUnavailable or NoWealth."""

    def read_notification(self, body: bytes) -> Notification:
        """Verify a notification's signature and addressee. Raises NotificationRefused."""

    def acknowledgement(self, notification: Notification) -> bytes:
        """The exact bytes that stop the channel from resending it."""

    async def aclose(self) -> None:
        """Close the connections."""


class BalanceUnavailable(Exception):
    """The channel gave no verified balance."""


class BillNotReady(Exception):
    """The channel has not made the bill of that day, or has none (yet)."""


class BillUnavailable(Exception):
    """The channel gave no bill that could be verified."""


class PositionUnavailable(Exception):
    """The channel gave no verified position."""


class NoWealth(Exception):
    """Nothing is ever invested for that product at this channel, as it is set up."""
