"""What a person does about invested money that is stuck: retry a move, release what waits for it.

A number that may still move money goes on under itself; a refused one is replaced by another.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from shanmen.common.db import Tx
from shanmen.common.errors import NotFound
from shanmen.common.ids import new_id
from shanmen.contracts.gateway import ResumeRequested
from shanmen.settlement.domain.wealth import HeldFor, WealthMoveKind, WealthMoveStatus
from shanmen.settlement.errors import (
    LeftToLiquidation,
    NothingHeld,
    OperationFinished,
    OperationInProgress,
    OperationReplaced,
    ProductGoesOn,
)
from shanmen.settlement.ports import SettlementContext
from shanmen.settlement.queries import holding, wealth
from shanmen.settlement.queries.rows import Record, Records
from shanmen.settlement.usecases.investing import invest
from shanmen.settlement.usecases.liquidating import ask_for_liquidation
from shanmen.settlement.usecases.moving import lock_around
from shanmen.settlement.usecases.redeeming import ask_for_redemption
from shanmen.settlement.usecases.releasing import release


async def retry_move(tx: Tx, ctx: SettlementContext, move_id: str) -> str:
    """Let a parked move go on, or ask for another in the place of a refused one.

    Returns the number in charge. Raises NotFound, OperationInProgress, OperationFinished,
    OperationReplaced, LeftToLiquidation, ProductGoesOn.
    """
    move = await _lock(tx, move_id)
    if await wealth.change_move(tx, move_id, WealthMoveStatus.REQUESTED) is not None:
        await ctx.outbox.add(tx, [ResumeRequested(operation_id=move_id)])
        return move_id
    _require_refused(move)
    return await _AGAIN[WealthMoveKind(move.kind)](tx, ctx, move)


async def release_waiting(tx: Tx, ctx: SettlementContext, move_id: str) -> str:
    """Let what waits for a redemption or liquidation be paid or refunded with other money; what is
    invested comes out later, or at the end.

    Returns the number, which stays in charge. Raises NotFound, NothingHeld.
    """
    move = await _lock(tx, move_id)
    waiting = await _waiting_for(tx, move)
    if not waiting:
        raise NothingHeld(f"No payout or refund waits for {move_id}.")
    for held in waiting:
        await release(tx, held, ctx)
    return move_id


async def _invest_again(tx: Tx, ctx: SettlementContext, refused: Record) -> str:
    another_id = new_id("sub")
    await wealth.replace_move(tx, refused.move_id, another_id)
    await invest(
        tx,
        ctx,
        another_id,
        order_no=refused.order_no,
        product_id=refused.product_id,
        amount_fen=refused.amount_fen,
    )
    return another_id


async def _redeem_again(tx: Tx, ctx: SettlementContext, refused: Record) -> str:
    if await wealth.is_liquidated(tx, refused.order_no) or await wealth.is_to_be_liquidated(
        tx, refused.product_id, ctx.clock.now()
    ):
        raise LeftToLiquidation(
            f"{refused.product_id} has ended: its liquidation takes out what is left, and what "
            "waits goes on then. Release it if it cannot wait."
        )
    another_id = new_id("red")
    await wealth.replace_move(tx, refused.move_id, another_id)
    ended = await holding.ended(tx, refused.entitlement_id)
    if ended is None:
        raise NotFound("settlement", refused.entitlement_id)
    await ask_for_redemption(tx, ended, ctx, another_id)
    return another_id


async def _liquidate_again(tx: Tx, ctx: SettlementContext, refused: Record) -> str:
    if await wealth.is_in_motion(tx, refused.product_id):
        raise OperationInProgress(
            f"Money of {refused.product_id} is on its way: wait until its subscriptions and "
            "redemptions have ended."
        )
    if not await wealth.is_to_be_liquidated(tx, refused.product_id, ctx.clock.now()):
        raise ProductGoesOn(
            f"{refused.product_id} was sold for later days since: what waits is redeemed by "
            "itself, and the liquidation comes at the new end. Resolve this item."
        )
    return await ask_for_liquidation(tx, refused.product_id, ctx)


_AGAIN: Final[Mapping[WealthMoveKind, Callable[..., Awaitable[str]]]] = {
    WealthMoveKind.SUBSCRIBE: _invest_again,
    WealthMoveKind.REDEEM: _redeem_again,
    WealthMoveKind.LIQUIDATE: _liquidate_again,
}


async def _waiting_for(tx: Tx, move: Record) -> Records:
    if move.kind == WealthMoveKind.LIQUIDATE:
        return await holding.held_for_liquidation(tx, move.product_id)
    held = await holding.ended(tx, move.entitlement_id)
    return [] if held is None or held.held_for != HeldFor.REDEMPTION else [held]


async def _lock(tx: Tx, move_id: str) -> Record:
    """A move as it is, with the locks around it. Raises NotFound."""
    move = await wealth.move(tx, move_id)
    if move is None:
        raise NotFound("wealth move", move_id)
    await lock_around(tx, move)
    locked = await wealth.move(tx, move_id, lock=True)
    return locked if locked is not None else move


def _require_refused(move: Record) -> None:
    """That a move was refused, and nothing took its place."""
    if move.status == WealthMoveStatus.REQUESTED:
        raise OperationInProgress(f"{move.move_id} is on its way: wait for the channel's answer.")
    if move.status == WealthMoveStatus.DONE:
        raise OperationFinished(f"{move.move_id} is done: nothing is left to do.")
    if move.replaced_by is not None:
        raise OperationReplaced(f"{move.replaced_by} took the place of {move.move_id}.")
