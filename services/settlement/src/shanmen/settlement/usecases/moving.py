"""What all moves of invested money have in common: asking is theirs, the answers are here.

Whoever decides takes the locks in one order: the order, the product, the move, the entitlements.
A liquidation has its product for itself, which is more than any order's lock.
"""

from datetime import datetime

from shanmen.common.db import Tx
from shanmen.common.errors import NotYet
from shanmen.contracts.gateway import (
    OperationFailed,
    OperationStuck,
    OperationSucceeded,
)
from shanmen.settlement.domain.ledger import PostingKind
from shanmen.settlement.domain.outcomes import kind_when_stuck
from shanmen.settlement.domain.wealth import (
    WEALTH_CHANNEL,
    WealthMoveKind,
    WealthMoveStatus,
    posting_for_proceeds,
    posting_for_subscription,
)
from shanmen.settlement.domain.work import Stuck, WorkFamily, WorkKind
from shanmen.settlement.errors import Contradiction
from shanmen.settlement.ports import SettlementContext
from shanmen.settlement.queries import ledger, refunds, wealth
from shanmen.settlement.queries.rows import Record
from shanmen.settlement.usecases.work import (
    end_shortage,
    put_on_work_list,
    take_off_work_list,
)


async def lock_around(tx: Tx, move: Record) -> None:
    """Keep others from deciding about the same money as a move until this transaction ends."""
    if move.kind == WealthMoveKind.LIQUIDATE:
        await wealth.own_product(tx, move.product_id)
    else:
        await refunds.lock_order(tx, move.order_no)
        await wealth.share_product(tx, move.product_id)


async def finish_move(
    tx: Tx, succeeded: OperationSucceeded, ctx: SettlementContext
) -> Record | None:
    """Book a move whose money has moved, as late as it is told; None for a repeat.

    Raises NotYet for an unknown move, Contradiction when another amount or channel moved than was
    asked for.
    """
    move = await _take(tx, succeeded.operation_id, succeeded.kind)
    principal_fen, yield_fen = _moved(move, succeeded)
    done = await wealth.change_move(
        tx,
        move.move_id,
        WealthMoveStatus.DONE,
        finished_at=succeeded.finished_at,
        principal_fen=principal_fen,
        yield_fen=yield_fen,
    )
    if done is not None:
        await _book(tx, done)
        await take_off_work_list(tx, ctx, WorkFamily(done.kind), done.move_id, how="done")
        await end_shortage(tx, ctx, succeeded.channel)
    return done


async def park_move(tx: Tx, stuck: OperationStuck, ctx: SettlementContext) -> Record | None:
    """Mark a move that waits for a person; it may still be done. None where that is known, or
    more is. Raises NotYet."""
    move = await _take(tx, stuck.operation_id, stuck.kind)
    parked = await wealth.change_move(
        tx, move.move_id, WealthMoveStatus.PARKED, reason=stuck.reason
    )
    if parked is not None:
        kind = kind_when_stuck(WorkFamily(parked.kind), stuck.outcome)
        await put_on_work_list(tx, ctx, await _stuck(tx, parked, kind, stuck.code, stuck.since))
    return parked


async def refuse_move(tx: Tx, failed: OperationFailed) -> Record | None:
    """Mark a move that the channel refused for good; None where that is known.

    Raises NotYet for an unknown move, Contradiction for one that is done.
    """
    move = await _take(tx, failed.operation_id, failed.kind)
    refused = await wealth.change_move(
        tx,
        move.move_id,
        WealthMoveStatus.FAILED,
        reason=failed.reason,
        finished_at=failed.finished_at,
    )
    if refused is None:
        known = await wealth.move(tx, move.move_id)
        if known is None or known.status != WealthMoveStatus.FAILED:
            raise Contradiction(f"{move.kind} {move.move_id} is done already")
    return refused


_REFUSED = {
    WealthMoveKind.SUBSCRIBE: WorkKind.SUBSCRIBE_REFUSED,
    WealthMoveKind.REDEEM: WorkKind.REDEEM_REFUSED,
    WealthMoveKind.LIQUIDATE: WorkKind.LIQUIDATE_REFUSED,
}


async def list_refused(
    tx: Tx, refused: Record, failed: OperationFailed, ctx: SettlementContext
) -> None:
    """Put a refused move on the work list."""
    kind = _REFUSED[WealthMoveKind(refused.kind)]
    await put_on_work_list(
        tx, ctx, await _stuck(tx, refused, kind, failed.code, failed.finished_at)
    )


async def unlist_refused(tx: Tx, refused: Record, ctx: SettlementContext, *, how: str) -> None:
    """Take a move off the list that was parked before, and is nobody's business any more."""
    await take_off_work_list(tx, ctx, WorkFamily(refused.kind), refused.move_id, how=how)


async def _take(tx: Tx, move_id: str, kind: str) -> Record:
    """A move that is told of, with the locks around it. Raises NotYet, Contradiction."""
    move = await wealth.move(tx, move_id)
    if move is None:
        raise NotYet(f"{kind} {move_id} is not known")
    if move.kind != kind:
        raise Contradiction(f"{move_id} is a {move.kind}, not a {kind}")
    await lock_around(tx, move)
    return move


def _moved(move: Record, succeeded: OperationSucceeded) -> tuple[int, int]:
    """Principal and yield of a success. Raises Contradiction."""
    amount_fen, yield_fen = succeeded.amount_fen, succeeded.yield_fen or 0
    principal_fen = succeeded.principal_fen
    if principal_fen is None:
        principal_fen = amount_fen
    is_asked_for = move.kind == WealthMoveKind.LIQUIDATE or principal_fen == move.amount_fen
    if (
        (succeeded.channel, amount_fen) != (WEALTH_CHANNEL, move.amount_fen)
        or not is_asked_for
        or min(principal_fen, yield_fen) < 0
    ):
        raise Contradiction(f"{move.kind} {move.move_id} is not what the channel moved")
    return principal_fen, yield_fen


async def _book(tx: Tx, done: Record) -> None:
    if done.kind == WealthMoveKind.SUBSCRIBE:
        posting = posting_for_subscription(
            move_id=done.move_id,
            order_no=done.order_no,
            product_id=done.product_id,
            amount_fen=done.amount_fen,
            occurred_at=done.finished_at,
        )
    else:
        is_redemption = done.kind == WealthMoveKind.REDEEM
        posting = posting_for_proceeds(
            move_id=done.move_id,
            kind=PostingKind.REDEMPTION if is_redemption else PostingKind.LIQUIDATION,
            order_no=done.order_no,
            product_id=done.product_id,
            principal_fen=done.principal_fen,
            yield_fen=done.yield_fen,
            occurred_at=done.finished_at,
        )
    if posting.entries:  # there may have been nothing left to liquidate
        await ledger.record(tx, [posting])


async def _stuck(tx: Tx, move: Record, kind: WorkKind, code: str, since: datetime) -> Stuck:
    amount_fen = move.amount_fen
    if move.kind == WealthMoveKind.LIQUIDATE:  # for a person: what it is about
        amount_fen = max(await wealth.outstanding_fen(tx, move.product_id), 0)
    return Stuck(
        family=WorkFamily(move.kind),
        kind=kind,
        subject_id=move.move_id,
        operation_id=move.move_id,
        reason=move.reason,
        code=code,
        since=since,
        amount_fen=amount_fen,
        channel=WEALTH_CHANNEL,
        account_id="",  # the platform's own
        order_no=move.order_no,
    )
