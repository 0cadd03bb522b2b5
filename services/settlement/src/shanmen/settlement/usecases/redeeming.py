"""Taking an entitlement's part out of the wealth product (理财赎回), to be paid or refunded.

A refund waits for its money. A payout waits where spot and wealth product are on the same channel;
elsewhere the spot is paid at once, and the redemption goes its own way.
"""

from shanmen.common.db import Tx
from shanmen.common.errors import NotYet
from shanmen.common.ids import new_id
from shanmen.contracts.gateway import (
    OperationFailed,
    OperationStuck,
    OperationSucceeded,
    WealthRedeemRequested,
)
from shanmen.settlement.domain.wealth import (
    HELD_FOR,
    WEALTH_CHANNEL,
    HeldFor,
    Standing,
    WayOut,
    WealthMoveKind,
    WealthMoveStatus,
    redeemed_for_visit_fen,
    way_out,
)
from shanmen.settlement.ports import SettlementContext
from shanmen.settlement.queries import holding, refunds, wealth
from shanmen.settlement.queries.rows import Record
from shanmen.settlement.usecases.moving import (
    finish_move,
    list_refused,
    park_move,
    refuse_move,
    unlist_refused,
)
from shanmen.settlement.usecases.releasing import pay_or_refund, release, tell_waiting_failed


async def settle_ended(tx: Tx, ended: Record, ctx: SettlementContext) -> None:
    """Pay or refund an entitlement that has just been used or lapsed, or let that wait for its
    money.

    Raises NotYet before it is known whether its order is invested, or what a refund gives back.
    """
    if not ended.invests or _out_fen(ended) == 0:
        await pay_or_refund(tx, ended, ctx)
        return
    await refunds.lock_order(tx, ended.order_no)
    await wealth.share_product(tx, ended.product_id)
    known = await _known(tx, ended)
    if known.subscription is None and not known.is_debited:
        raise NotYet(f"{ended.order_no} is not paid")
    way = _way_out(known, ctx)
    if way is WayOut.REDEEM:
        await ask_for_redemption(tx, ended, ctx, new_id("red"))
    held_for = HELD_FOR[way]
    if held_for is None or not _must_wait(ended):
        await pay_or_refund(tx, ended, ctx)
        return
    await holding.hold(tx, ended.entitlement_id, held_for)
    if held_for is HeldFor.LIQUIDATION and known.liquidation_reason is not None:
        reason = known.liquidation_reason
        failed = await holding.fail_held_part(tx, ended.entitlement_id, held_for, reason)
        await tell_waiting_failed(tx, failed, reason, ctx.clock.now(), ctx)


async def decide_again(tx: Tx, ended: Record, ctx: SettlementContext) -> None:
    """Let an entitlement's part come out, and its payout or refund go on or wait, as things are
    now. The locks are the caller's: of the order and a share of the product, or all of it."""
    if _out_fen(ended) == 0:
        return
    way = _way_out(await _known(tx, ended), ctx)
    if way is WayOut.REDEEM:
        await ask_for_redemption(tx, ended, ctx, new_id("red"))
    held_for = HELD_FOR[way]
    if ended.held_for is None:
        return  # it was paid or refunded without waiting
    if held_for is None:
        await release(tx, ended, ctx)
    elif held_for != ended.held_for:
        await holding.hold(tx, ended.entitlement_id, held_for)


async def decide_again_for_order(tx: Tx, order_no: str, ctx: SettlementContext) -> None:
    """The same for all of an order that ended."""
    for ended in await holding.ended_of_order(tx, order_no):
        await decide_again(tx, ended, ctx)


async def ask_for_redemption(tx: Tx, ended: Record, ctx: SettlementContext, move_id: str) -> None:
    """Open a redemption of an entitlement's part, and ask the gateway for it. The locks are the
    caller's."""
    amount_fen = _out_fen(ended)
    await wealth.add_move(
        tx,
        {
            "move_id": move_id,
            "kind": WealthMoveKind.REDEEM,
            "product_id": ended.product_id,
            "order_no": ended.order_no,
            "entitlement_id": ended.entitlement_id,
            "amount_fen": amount_fen,
            "requested_at": ctx.clock.now(),
        },
    )
    request = WealthRedeemRequested(
        operation_id=move_id,
        product_id=ended.product_id,
        order_no=ended.order_no,
        amount_fen=amount_fen,
        description=f"订单 {ended.order_no} 理财赎回",
    )
    await ctx.outbox.add(tx, [request])


async def settle_redemption(tx: Tx, succeeded: OperationSucceeded, ctx: SettlementContext) -> None:
    """Book a redemption, and pay or refund what waited for it. Raises NotYet, Contradiction."""
    done = await finish_move(tx, succeeded, ctx)
    if done is not None:
        await _decide_about_part(tx, done, ctx)


async def park_redemption(tx: Tx, stuck: OperationStuck, ctx: SettlementContext) -> None:
    """Mark a redemption that waits for a person, and what waits for it. Raises NotYet."""
    parked = await park_move(tx, stuck, ctx)
    if parked is not None:
        await _decide_about_part(tx, parked, ctx)
        failed = await _fail_waiting(tx, parked)
        await tell_waiting_failed(tx, failed, parked.reason, stuck.since, ctx)


async def fail_redemption(tx: Tx, failed: OperationFailed, ctx: SettlementContext) -> None:
    """Mark a redemption that the channel refused for good, and what waits for it.

    Its part stays invested until the product's liquidation; where that has been, nothing is
    wrong. Raises NotYet, Contradiction.
    """
    refused = await refuse_move(tx, failed)
    if refused is None:
        return
    await _decide_about_part(tx, refused, ctx)
    waiting = await _fail_waiting(tx, refused)
    await tell_waiting_failed(tx, waiting, refused.reason, failed.finished_at, ctx)
    if await wealth.is_liquidated(tx, refused.order_no):
        await unlist_refused(tx, refused, ctx, how="liquidated")
    else:
        await list_refused(tx, refused, failed, ctx)


async def _decide_about_part(tx: Tx, move: Record, ctx: SettlementContext) -> None:
    ended = await holding.ended(tx, move.entitlement_id)
    if ended is not None and ended.held_for is not None:
        await decide_again(tx, ended, ctx)


async def _fail_waiting(tx: Tx, move: Record) -> list[Record]:
    """待结算, 待退款: what waits for this redemption, unless another took its place."""
    if move.replaced_by is not None:
        return []
    failed = await holding.fail_held_part(tx, move.entitlement_id, HeldFor.REDEMPTION, move.reason)
    return list(failed)


async def _known(tx: Tx, ended: Record) -> Record:
    return await wealth.standing(
        tx,
        order_no=ended.order_no,
        entitlement_id=ended.entitlement_id,
        product_id=ended.product_id,
    )


def _way_out(known: Record, ctx: SettlementContext) -> WayOut:
    return way_out(
        Standing(
            subscription=known.subscription and WealthMoveStatus(known.subscription),
            is_liquidated=known.liquidated_by is not None,
            redemption=known.redemption and WealthMoveStatus(known.redemption),
            is_redeemed=known.is_redeemed,
            is_liquidating=known.liquidation
            in {WealthMoveStatus.REQUESTED, WealthMoveStatus.PARKED},
            has_ended=known.ends_at is not None and known.ends_at <= ctx.clock.now(),
        )
    )


def _out_fen(ended: Record) -> int:
    """What comes out for an entitlement: a spot's price for a visit, else all of its part."""
    if ended.lapsed_at is not None:
        return int(ended.part_fen)
    return redeemed_for_visit_fen(ended.settle_fen, ended.part_fen)


def _must_wait(ended: Record) -> bool:
    if ended.lapsed_at is not None:
        return True
    return bool(ended.payable_fen > 0 and ended.channel == WEALTH_CHANNEL)
