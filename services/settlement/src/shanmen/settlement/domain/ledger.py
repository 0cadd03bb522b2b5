"""The ledger: its accounts, and how each business fact is posted. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from shanmen.common.money import Fen
from shanmen.settlement.domain.statuses import payable_fen
from shanmen.settlement.domain.work import Direction

# ── accounts ────────────────────────────────────────────────────────────────────────────────────


class AccountKind(StrEnum):
    """Which side an account grows on: assets by debits, all others by credits."""

    ASSET = "asset"
    LIABILITY = "liability"
    INCOME = "income"
    EQUITY = "equity"


CHART: Final[Mapping[str, AccountKind]] = {
    "cash": AccountKind.ASSET,  # cash:<channel>, mirrors the platform's account there
    "wealth": AccountKind.ASSET,  # wealth:<product_id>, principal invested
    "custody": AccountKind.LIABILITY,  # custody:<order_no>, paid for, not yet visited or refunded
    "payable": AccountKind.LIABILITY,  # payable:<spot_id>, visited and not yet paid out
    "suspense": AccountKind.LIABILITY,  # reported by a channel and explained by nothing yet
    "fees": AccountKind.INCOME,
    "margin": AccountKind.INCOME,
    "yield": AccountKind.INCOME,
    "owner": AccountKind.EQUITY,  # the owner's funds in the platform's channel accounts
}
"""Account families: an account's code is its family, for most followed by `:` and whose it is."""

FEES: Final = "fees"
MARGIN: Final = "margin"
OWNER: Final = "owner"
YIELD: Final = "yield"
SUSPENSE: Final = "suspense"


def cash(channel: str) -> str:
    """The code of the account that mirrors the platform's own money at a channel."""
    return f"cash:{channel}"


def custody(order_no: str) -> str:
    """The code of the account of what an order paid and is still held for it."""
    return f"custody:{order_no}"


def payable(spot_id: str) -> str:
    """The code of the account of what a spot has earned and not yet been paid."""
    return f"payable:{spot_id}"


def wealth(product_id: str) -> str:
    """The code of the account of the principal that is invested for a product."""
    return f"wealth:{product_id}"


def account_kind(account: str) -> AccountKind:
    """The kind of an account, by its family. Raises ValueError for a code outside the chart."""
    family = account.partition(":")[0]
    if family not in CHART:
        raise ValueError(f"no account family {family!r} in the chart")
    return CHART[family]


def balance_fen(account: str, debit_fen: int, credit_fen: int) -> Fen:
    """An account's balance as people read it: positive on the side that its kind grows on."""
    if account_kind(account) is AccountKind.ASSET:
        return Fen(debit_fen - credit_fen)
    return Fen(credit_fen - debit_fen)


# ── postings ────────────────────────────────────────────────────────────────────────────────────


class PostingKind(StrEnum):
    """Which business fact a posting books."""

    DEBIT = "debit"
    """扣款: a distributor was debited."""
    ADMISSION = "admission"
    """核销: a visitor was admitted."""
    PAYOUT = "payout"
    """打款: a spot was paid."""
    REFUND = "refund"
    """退款: a part went back to the distributor."""
    FORFEIT = "forfeit"
    """无须退款: an expired part stays with the platform."""
    PAYOUT_OUTSIDE = "payout_outside"
    """线下打款: the owner paid a spot from elsewhere, as the channel would not."""
    REFUND_OUTSIDE = "refund_outside"
    """线下退款: the owner refunded a distributor from elsewhere, as the channel would not."""
    OWNER_IN = "owner_in"
    """注资: the owner moved money into a channel account."""
    OWNER_OUT = "owner_out"
    """提取: the owner moved money out of a channel account."""
    SUBSCRIPTION = "subscription"
    """理财申购: an order's price was invested."""
    REDEMPTION = "redemption"
    """理财赎回: an entitlement's part came out of the wealth product."""
    LIQUIDATION = "liquidation"
    """理财清算: all that was left of a product came out, with its yield."""
    ADJUSTMENT = "adjustment"
    """调账: what a channel's bill says and nothing explains, against suspense."""
    CLEARING = "clearing"
    """销账: what was in suspense is explained."""
    UNEXPLAINED = "unexplained"
    """待查: money moved under a number that was dead for certain; for a person to explain."""
    CORRECTION = "correction"
    """冲正: a posting that was entered wrongly is undone by one to the contrary."""


@dataclass(frozen=True)
class Entry:
    """One line of a posting: exactly one of the amounts is positive, the other zero."""

    account: str
    debit_fen: int
    credit_fen: int


@dataclass(frozen=True)
class Posting:
    """One business fact in the ledger; `key` names the fact and is unique.

    `order_no` is set where the fact concerns one order. Raises ValueError when debits and credits
    differ, or an account occurs twice.
    """

    key: str
    kind: PostingKind
    order_no: str | None
    occurred_at: datetime
    entries: tuple[Entry, ...]

    def __post_init__(self) -> None:
        debit_fen = sum(entry.debit_fen for entry in self.entries)
        credit_fen = sum(entry.credit_fen for entry in self.entries)
        if debit_fen != credit_fen:
            raise ValueError(f"{self.key} does not balance: {debit_fen} and {credit_fen} fen")
        if len({entry.account for entry in self.entries}) < len(self.entries):
            raise ValueError(f"{self.key} names an account twice")


def posting_for_debit(
    *,
    operation_id: str,
    order_no: str,
    channel: str,
    price_fen: int,
    fee_fen: int,
    occurred_at: datetime,
) -> Posting:
    """A distributor paid `price_fen` for an order, and `fee_fen` on top."""
    return Posting(
        f"debit:{operation_id}",
        PostingKind.DEBIT,
        order_no,
        occurred_at,
        entries(
            debited=[(cash(channel), price_fen + fee_fen)],
            credited=[(custody(order_no), price_fen), (FEES, fee_fen)],
        ),
    )


def posting_for_admission(
    *,
    entitlement_id: str,
    order_no: str,
    spot_id: str,
    part_fen: int,
    settle_fen: int,
    settlement_fee_fen: int,
    occurred_at: datetime,
) -> Posting:
    """A visit turns the order's part into what the spot is owed, the fee, and the margin.

    A margin below zero (a product published so on purpose) is a debit.
    """
    margin_fen = part_fen - settle_fen
    return Posting(
        f"admission:{entitlement_id}",
        PostingKind.ADMISSION,
        order_no,
        occurred_at,
        entries(
            debited=[(custody(order_no), part_fen), (MARGIN, max(-margin_fen, 0))],
            credited=[
                (payable(spot_id), payable_fen(settle_fen, settlement_fee_fen)),
                (FEES, settlement_fee_fen),
                (MARGIN, max(margin_fen, 0)),
            ],
        ),
    )


def posting_for_payout(
    *,
    payout_id: str,
    order_no: str | None,
    spot_id: str,
    channel: str,
    amount_fen: int,
    occurred_at: datetime,
) -> Posting:
    """A spot was paid; `order_no` where all that was paid belongs to one order."""
    return Posting(
        f"payout:{payout_id}",
        PostingKind.PAYOUT,
        order_no,
        occurred_at,
        entries(debited=[(payable(spot_id), amount_fen)], credited=[(cash(channel), amount_fen)]),
    )


def posting_for_refund(
    *,
    refund_id: str,
    order_no: str,
    channel: str,
    part_fen: int,
    fee_fen: int,
    occurred_at: datetime,
) -> Posting:
    """A part went back to the distributor, with `fee_fen` of the fee where that is refundable."""
    return Posting(
        f"refund:{refund_id}",
        PostingKind.REFUND,
        order_no,
        occurred_at,
        entries(
            debited=[(custody(order_no), part_fen), (FEES, fee_fen)],
            credited=[(cash(channel), part_fen + fee_fen)],
        ),
    )


def posting_for_forfeit(
    *, entitlement_id: str, order_no: str, part_fen: int, occurred_at: datetime
) -> Posting:
    """An expired part is not refundable and stays with the platform."""
    return Posting(
        f"forfeit:{entitlement_id}",
        PostingKind.FORFEIT,
        order_no,
        occurred_at,
        entries(debited=[(custody(order_no), part_fen)], credited=[(MARGIN, part_fen)]),
    )


def posting_for_payout_outside(
    *,
    payout_id: str,
    order_no: str | None,
    spot_id: str,
    amount_fen: int,
    paid_from: str = OWNER,
    occurred_at: datetime,
) -> Posting:
    """A spot got what a refused payout was to pay: with the owner's money, or what is in suspense
    turned out to be just that."""
    return Posting(
        f"payout_outside:{payout_id}",
        PostingKind.PAYOUT_OUTSIDE,
        order_no,
        occurred_at,
        entries(debited=[(payable(spot_id), amount_fen)], credited=[(paid_from, amount_fen)]),
    )


def posting_for_refund_outside(
    *,
    refund_id: str,
    order_no: str,
    part_fen: int,
    fee_fen: int,
    paid_from: str = OWNER,
    occurred_at: datetime,
) -> Posting:
    """A distributor got what a refused refund was to give back: with the owner's money, or what is
    in suspense turned out to be just that."""
    return Posting(
        f"refund_outside:{refund_id}",
        PostingKind.REFUND_OUTSIDE,
        order_no,
        occurred_at,
        entries(
            debited=[(custody(order_no), part_fen), (FEES, fee_fen)],
            credited=[(paid_from, part_fen + fee_fen)],
        ),
    )


def posting_for_owner(
    *,
    movement_id: str,
    channel: str,
    amount_fen: int,
    direction: Direction,
    occurred_at: datetime,
) -> Posting:
    """The owner moved money into a channel account, or out of it."""
    account = cash(channel)
    kind, debited, credited = {
        Direction.IN: (PostingKind.OWNER_IN, account, OWNER),
        Direction.OUT: (PostingKind.OWNER_OUT, OWNER, account),
    }[direction]
    return Posting(
        f"owner:{movement_id}",
        kind,
        None,
        occurred_at,
        entries(debited=[(debited, amount_fen)], credited=[(credited, amount_fen)]),
    )


def posting_for_unexplained(
    *,
    operation_id: str,
    order_no: str | None,
    channel: str,
    amount_fen: int,
    occurred_at: datetime,
) -> Posting:
    """Money left under the number of a payout or refund that was dead for certain.

    The ledger's cash stays what the channel says; what is in suspense is a person's to explain.
    """
    return Posting(
        f"unexplained:{operation_id}",
        PostingKind.UNEXPLAINED,
        order_no,
        occurred_at,
        entries(debited=[(SUSPENSE, amount_fen)], credited=[(cash(channel), amount_fen)]),
    )


def entries(
    *, debited: Iterable[tuple[str, int]], credited: Iterable[tuple[str, int]]
) -> tuple[Entry, ...]:
    """The lines of a posting, without those of zero fen. Raises ValueError below zero."""
    lines = [Entry(account, amount_fen, 0) for account, amount_fen in debited]
    lines += [Entry(account, 0, amount_fen) for account, amount_fen in credited]
    for line in lines:
        if line.debit_fen < 0 or line.credit_fen < 0:
            raise ValueError(f"an amount below zero on {line.account}: {line}")
    return tuple(line for line in lines if line.debit_fen or line.credit_fen)
