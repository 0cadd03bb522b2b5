"""Liquidating (理财清算): at a product's end all that is left of it comes out, with its yield."""

from typing import Final

from shanmen.common.db import Tx
from shanmen.common.ids import new_id
from shanmen.contracts.gateway import (
    OperationFailed,
    OperationStuck,
    OperationSucceeded,
    WealthLiquidateRequested,
)
from shanmen.settlement.domain.wealth import WealthMoveKind
from shanmen.settlement.ports import SettlementContext
from shanmen.settlement.queries import holding, positions, refunds, wealth
from shanmen.settlement.queries.rows import Record
from shanmen.settlement.usecases.moving import (
    finish_move,
    list_refused,
    park_move,
    refuse_move,
)
from shanmen.settlement.usecases.redeeming import decide_again
from shanmen.settlement.usecases.releasing import tell_waiting_failed

AT_ONCE: Final = 200
"""How much that waited goes on in one transaction."""


async def liquidate_ended(ctx: SettlementContext) -> None:
    """Start the liquidation of every product that has ended with something invested, and let go on
    what waits for one in vain."""
    async with ctx.db.transaction() as tx:
        product_ids = await wealth.to_liquidate(tx, ctx.clock.now())
    for product_id in product_ids:
        async with ctx.db.transaction() as tx:
            await wealth.own_product(tx, product_id)
            if await wealth.to_liquidate(tx, ctx.clock.now(), product_id=product_id):
                await ask_for_liquidation(tx, product_id, ctx)
    await release_in_vain(ctx)


async def release_in_vain(ctx: SettlementContext) -> None:
    """Decide again about what waits for a liquidation that is over, or not to come yet."""
    after = None
    while True:
        async with ctx.db.transaction() as tx:
            found = await holding.held_in_vain(tx, ctx.clock.now(), after=after, limit=AT_ONCE)
        for waiting in found:
            async with ctx.db.transaction() as tx:
                await _decide_about(tx, waiting, ctx)
        if len(found) < AT_ONCE:
            return
        after = found[-1].entitlement_id


async def ask_for_liquidation(tx: Tx, product_id: str, ctx: SettlementContext) -> str:
    """Open a liquidation, and ask the gateway for it; its number. It takes the place of those that
    were refused. The product's lock is the caller's, and whole."""
    move_id = new_id("liq")
    for refused_id in await wealth.refused_liquidations(tx, product_id):
        await wealth.replace_move(tx, refused_id, move_id)
    await wealth.add_move(
        tx,
        {
            "move_id": move_id,
            "kind": WealthMoveKind.LIQUIDATE,
            "product_id": product_id,
            "amount_fen": 0,
            "requested_at": ctx.clock.now(),
        },
    )
    request = WealthLiquidateRequested(
        operation_id=move_id, product_id=product_id, description=f"产品 {product_id} 理财清算"
    )
    await ctx.outbox.add(tx, [request])
    return move_id


async def settle_liquidation(
    tx: Tx, succeeded: OperationSucceeded, ctx: SettlementContext
) -> None:
    """Book what came out, and let go on what waited for it. Raises NotYet, Contradiction."""
    done = await finish_move(tx, succeeded, ctx)
    if done is None:
        return
    product_id = done.product_id
    # What was invested since is not part of it; but where nothing is left, nothing is.
    is_empty = await wealth.outstanding_fen(tx, product_id) <= 0
    await wealth.mark_liquidated(
        tx, product_id, done.move_id, until=None if is_empty else done.requested_at
    )
    await positions.keep_accrual(
        tx, product_id, principal_fen=0, accrued_fen=0, as_of=done.finished_at
    )
    for held in await holding.held_for_proceeds(tx, product_id, limit=AT_ONCE):
        await decide_again(tx, held, ctx)


async def park_liquidation(tx: Tx, stuck: OperationStuck, ctx: SettlementContext) -> None:
    """Mark a liquidation that waits for a person, and what waits for it. Raises NotYet."""
    parked = await park_move(tx, stuck, ctx)
    if parked is not None:
        failed = await holding.fail_held_of_product(tx, parked.product_id, parked.reason)
        await tell_waiting_failed(tx, failed, parked.reason, stuck.since, ctx)


async def fail_liquidation(tx: Tx, failed: OperationFailed, ctx: SettlementContext) -> None:
    """Mark a liquidation that the channel refused for good, and what waits for it; another is
    started by a person, or once this one is off the work list. Raises NotYet, Contradiction."""
    refused = await refuse_move(tx, failed)
    if refused is None:
        return
    await list_refused(tx, refused, failed, ctx)
    waiting = await holding.fail_held_of_product(tx, refused.product_id, refused.reason)
    await tell_waiting_failed(tx, waiting, refused.reason, failed.finished_at, ctx)


async def _decide_about(tx: Tx, waiting: Record, ctx: SettlementContext) -> None:
    await refunds.lock_order(tx, waiting.order_no)
    await wealth.share_product(tx, waiting.product_id)
    held = await holding.ended(tx, waiting.entitlement_id)
    if held is not None and held.held_for is not None:
        await decide_again(tx, held, ctx)
