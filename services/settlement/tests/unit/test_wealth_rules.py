"""How money comes out of a wealth product: the whole table, and the postings."""

from datetime import UTC, datetime
from itertools import product
from typing import Any

import pytest

from shanmen.settlement.domain.ledger import PostingKind
from shanmen.settlement.domain.wealth import (
    HELD_FOR,
    HeldFor,
    Standing,
    WayOut,
    WealthMoveStatus,
    posting_for_proceeds,
    posting_for_subscription,
    redeemed_for_visit_fen,
    way_out,
)

NOON = datetime(2026, 11, 1, 4, 0, tzinfo=UTC)

# subscription, liquidated, redeemed, redemption, liquidating, ended; `*` is any.
TABLE = """
requested * * *         * *  await_subscription
none      * * *         * *  go_on
parked    * * *         * *  go_on
failed    * * *         * *  go_on
done      y * *         * *  go_on
done      n y *         * *  go_on
done      n n requested * *  await_redemption
done      n n parked    * *  await_redemption
done      n n failed    * *  await_redemption
done      n n done      * *  await_redemption
done      n n none      y *  await_liquidation
done      n n none      n y  await_liquidation
done      n n none      n n  redeem
"""
STATUSES = (None, *WealthMoveStatus)
FLAGS = (True, False)


def expected(standing: Standing) -> str:
    told = (
        standing.subscription or "none",
        *(("n", "y")[flag] for flag in (standing.is_liquidated, standing.is_redeemed)),
        standing.redemption or "none",
        *(("n", "y")[flag] for flag in (standing.is_liquidating, standing.has_ended)),
    )
    rows = [line.split() for line in TABLE.strip().splitlines()]
    (way,) = [
        row[-1]
        for row in rows
        if all(cell in {"*", value} for cell, value in zip(row[:-1], told, strict=True))
    ]
    return way


@pytest.mark.parametrize("subscription", STATUSES)
def test_every_way_out(subscription: WealthMoveStatus | None) -> None:
    for redemption, *flags in product(STATUSES, *[FLAGS] * 4):
        is_liquidated, is_redeemed, is_liquidating, has_ended = flags
        standing = Standing(
            subscription=subscription,
            is_liquidated=is_liquidated,
            redemption=redemption,
            is_redeemed=is_redeemed,
            is_liquidating=is_liquidating,
            has_ended=has_ended,
        )
        assert way_out(standing) == expected(standing), standing


def test_what_each_way_is_waited_for() -> None:
    assert {way: HELD_FOR[way] for way in WayOut} == {
        WayOut.GO_ON: None,
        WayOut.REDEEM: HeldFor.REDEMPTION,
        WayOut.AWAIT_SUBSCRIPTION: HeldFor.SUBSCRIPTION,
        WayOut.AWAIT_REDEMPTION: HeldFor.REDEMPTION,
        WayOut.AWAIT_LIQUIDATION: HeldFor.LIQUIDATION,
    }


@pytest.mark.parametrize(
    ("settle_fen", "part_fen", "redeemed_fen"),
    [(9_000, 10_000, 9_000), (10_000, 10_000, 10_000), (11_000, 10_000, 10_000), (0, 10_000, 0)],
)
def test_a_visit_takes_out_the_spots_price_but_no_more_than_was_brought_in(
    settle_fen: int, part_fen: int, redeemed_fen: int
) -> None:
    assert redeemed_for_visit_fen(settle_fen, part_fen) == redeemed_fen


def lines(posting: Any) -> dict[str, int]:
    return {entry.account: entry.debit_fen - entry.credit_fen for entry in posting.entries}


def test_a_subscription_moves_cash_into_the_product() -> None:
    posting = posting_for_subscription(
        move_id="sub_1", order_no="ord_1", product_id="prd_1", amount_fen=100, occurred_at=NOON
    )
    assert (posting.key, posting.kind, posting.order_no) == (
        *("subscription:sub_1", "subscription"),
        "ord_1",
    )
    assert lines(posting) == {"wealth:prd_1": 100, "cash:huijinbao": -100}


@pytest.mark.parametrize(
    ("principal_fen", "yield_fen", "moved"),
    [
        (100, 3, {"cash:huijinbao": 103, "wealth:prd_1": -100, "yield": -3}),
        (100, 0, {"cash:huijinbao": 100, "wealth:prd_1": -100}),
        (0, 3, {"cash:huijinbao": 3, "yield": -3}),
        (0, 0, {}),
    ],
)
@pytest.mark.parametrize("kind", [PostingKind.REDEMPTION, PostingKind.LIQUIDATION])
def test_proceeds_are_principal_and_yield(
    kind: PostingKind, principal_fen: int, yield_fen: int, moved: dict[str, int]
) -> None:
    posting = posting_for_proceeds(
        move_id="out_1",
        kind=kind,
        order_no=None,
        product_id="prd_1",
        principal_fen=principal_fen,
        yield_fen=yield_fen,
        occurred_at=NOON,
    )
    assert (posting.key, posting.kind) == (f"{kind}:out_1", kind)
    assert lines(posting) == moved
