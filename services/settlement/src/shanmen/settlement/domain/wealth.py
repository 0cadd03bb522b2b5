"""Invested money (理财): how far its moves are, how they are posted, what waits for it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from shanmen.common.money import Fen
from shanmen.common.statemachine import Machine, table
from shanmen.settlement.domain.ledger import (
    YIELD,
    Posting,
    PostingKind,
    cash,
    entries,
    wealth,
)

WEALTH_CHANNEL: Final = "huijinbao"
"""The channel that has wealth products."""


class WealthMoveKind(StrEnum):
    """Which way invested money goes."""

    SUBSCRIBE = "subscribe"
    """理财申购: an order's price goes into the wealth product."""
    REDEEM = "redeem"
    """理财赎回: an entitlement's part comes out, for its spot or its distributor."""
    LIQUIDATE = "liquidate"
    """理财清算: all that is left of a product comes out at its end, with its yield."""


class WealthMoveStatus(StrEnum):
    """How far a move of invested money is."""

    REQUESTED = "requested"
    """处理中: the gateway was asked."""
    DONE = "done"
    """已完成: the money has moved, for certain."""
    PARKED = "parked"
    """待人工处理: waits for something that time alone does not bring."""
    FAILED = "failed"
    """已失败: the channel refused it for good."""


WEALTH_MOVE: Final = Machine(
    "wealth_move",
    WealthMoveStatus.REQUESTED,
    table(
        [
            (
                WealthMoveStatus.REQUESTED,
                [WealthMoveStatus.DONE, WealthMoveStatus.PARKED, WealthMoveStatus.FAILED],
            ),
            (
                WealthMoveStatus.PARKED,
                [WealthMoveStatus.REQUESTED, WealthMoveStatus.DONE, WealthMoveStatus.FAILED],
            ),
            # It is the platform's own money: a late truth is booked as it is.
            (WealthMoveStatus.FAILED, [WealthMoveStatus.DONE]),
            (WealthMoveStatus.DONE, []),
        ]
    ),
)


class HeldFor(StrEnum):
    """What a payout or refund of an entitlement waits for."""

    SUBSCRIPTION = "subscription"
    """Whether its order's money is invested is not known yet."""
    REDEMPTION = "redemption"
    """Its part is on its way out of the wealth product."""
    LIQUIDATION = "liquidation"
    """The product has ended: its part comes out with all that is left."""


class WayOut(StrEnum):
    """How the part of an entitlement that has ended comes out of the wealth product."""

    GO_ON = "go_on"
    """Nothing of it is invested, or not any more."""
    REDEEM = "redeem"
    """By a redemption of its own, which is to be asked for now."""
    AWAIT_SUBSCRIPTION = "await_subscription"
    """Nobody knows yet whether it is invested."""
    AWAIT_REDEMPTION = "await_redemption"
    """By its redemption, which was asked for."""
    AWAIT_LIQUIDATION = "await_liquidation"
    """With all that is left of the product, which has ended."""


HELD_FOR: Final[Mapping[WayOut, HeldFor | None]] = {
    WayOut.GO_ON: None,
    WayOut.REDEEM: HeldFor.REDEMPTION,
    WayOut.AWAIT_SUBSCRIPTION: HeldFor.SUBSCRIPTION,
    WayOut.AWAIT_REDEMPTION: HeldFor.REDEMPTION,
    WayOut.AWAIT_LIQUIDATION: HeldFor.LIQUIDATION,
}
"""What a payout or refund waits for that has to come after the money."""


@dataclass(frozen=True)
class Standing:
    """What is known of an entitlement's part: how far the subscription of its order is, and its
    own redemption (None without one), and whether the product is liquidated or has ended."""

    subscription: WealthMoveStatus | None
    is_liquidated: bool
    redemption: WealthMoveStatus | None
    is_redeemed: bool
    is_liquidating: bool
    has_ended: bool


def way_out(standing: Standing) -> WayOut:
    """How a part comes out of the wealth product. First match wins.

    While a subscription is parked or refused, nothing certain is invested: visits and refunds do
    not wait for it. Should it be done later, its money comes out later.
    """
    if standing.subscription is WealthMoveStatus.REQUESTED:
        return WayOut.AWAIT_SUBSCRIPTION
    is_invested = standing.subscription is WealthMoveStatus.DONE
    if not is_invested or standing.is_liquidated or standing.is_redeemed:
        return WayOut.GO_ON
    if standing.redemption is not None:
        return WayOut.AWAIT_REDEMPTION
    if standing.is_liquidating or standing.has_ended:
        return WayOut.AWAIT_LIQUIDATION
    return WayOut.REDEEM


def redeemed_for_visit_fen(settle_fen: int, part_fen: int) -> Fen:
    """What a visit takes out of the wealth product: the spot settlement price.

    Never more than the entitlement brought in: what a product that sells below its cost lacks was
    never invested.
    """
    return Fen(min(settle_fen, part_fen))


def posting_for_subscription(
    *, move_id: str, order_no: str, product_id: str, amount_fen: int, occurred_at: datetime
) -> Posting:
    """An order's price went into the wealth product."""
    return Posting(
        f"subscription:{move_id}",
        PostingKind.SUBSCRIPTION,
        order_no,
        occurred_at,
        entries(
            debited=[(wealth(product_id), amount_fen)],
            credited=[(cash(WEALTH_CHANNEL), amount_fen)],
        ),
    )


def posting_for_proceeds(
    *,
    move_id: str,
    kind: PostingKind,
    order_no: str | None,
    product_id: str,
    principal_fen: int,
    yield_fen: int,
    occurred_at: datetime,
) -> Posting:
    """Principal came out of the wealth product, and yield on top: by a redemption or liquidation,
    which `kind` tells."""
    return Posting(
        f"{kind}:{move_id}",
        kind,
        order_no,
        occurred_at,
        entries(
            debited=[(cash(WEALTH_CHANNEL), principal_fen + yield_fen)],
            credited=[(wealth(product_id), principal_fen), (YIELD, yield_fen)],
        ),
    )
