"""Paying spots (打款): what their visits earned, and what became of each payout."""

from collections.abc import Collection
from datetime import datetime

from shanmen.common.db import Tx
from shanmen.common.errors import NotYet
from shanmen.common.ids import new_id
from shanmen.contracts.gateway import (
    OperationFailed,
    OperationStuck,
    OperationSucceeded,
    PayoutRequested,
)
from shanmen.contracts.settlement import EntitlementSettled, SettleFailed
from shanmen.contracts.terms import AccountRef
from shanmen.settlement.domain.ledger import (
    posting_for_payout,
)
from shanmen.settlement.domain.statuses import (
    PayoutStatus,
)
from shanmen.settlement.errors import Contradiction
from shanmen.settlement.ports import SettlementContext
from shanmen.settlement.queries import ledger, payouts
from shanmen.settlement.queries.rows import Record


async def pay_spot(tx: Tx, spot_id: str, account: AccountRef, ctx: SettlementContext) -> None:
    """Pay a spot for all its visits that are in no payout yet, if they reach the minimum.

    With amounts that reach it by themselves, that is one payout per admission, at once.
    """
    waiting = await payouts.lock_waiting(tx, spot_id, account.account_id)
    amount_fen = sum(visit.payable_fen for visit in waiting)
    if amount_fen < ctx.payout_minimum_fen.get(account.channel, 1):
        return
    payout_id = new_id("pay")
    payout = {
        "payout_id": payout_id,
        "spot_id": spot_id,
        "account_id": account.account_id,
        "channel": account.channel,
        "amount_fen": amount_fen,
        "status": PayoutStatus.REQUESTED,
        "requested_at": ctx.clock.now(),
    }
    await payouts.open_payout(tx, payout, [visit.entitlement_id for visit in waiting])
    request = PayoutRequested(
        operation_id=payout_id,
        spot_id=spot_id,
        account=account,
        amount_fen=amount_fen,
        description=f"门票结算 {len(waiting)} 张",
    )
    await ctx.outbox.add(tx, [request])


async def pay_waiting(ctx: SettlementContext) -> None:
    """Pay every spot whose waiting visits reach the minimum together.

    Two small visits at the same moment do not see each other; this sees them both.
    """
    async with ctx.db.transaction() as tx:
        sums = await payouts.waiting_sums(tx)
    for waiting in sums:
        if waiting.amount_fen >= ctx.payout_minimum_fen.get(waiting.channel, 1):
            account = AccountRef(account_id=waiting.account_id, channel=waiting.channel)
            async with ctx.db.transaction() as tx:
                await pay_spot(tx, waiting.spot_id, account, ctx)


async def settle_payout(tx: Tx, succeeded: OperationSucceeded, ctx: SettlementContext) -> None:
    """Book a payout, and settle all that it paid.

    Raises NotYet for an unknown payout, Contradiction when another amount or channel moved than
    was asked for, or when the payout or one of its lines cannot become paid.
    """
    payout_id, at = succeeded.operation_id, succeeded.finished_at
    paid = await payouts.change_payout(tx, payout_id, PayoutStatus.PAID, finished_at=at)
    if paid is None:
        await _require_status(tx, payout_id, {PayoutStatus.PAID})
        return
    lines = await payouts.settle_lines(tx, payout_id, at)
    settled_fen = sum(line.amount_fen for line in lines)
    moved = (succeeded.channel, succeeded.amount_fen)
    if moved != (paid.channel, paid.amount_fen) or settled_fen != paid.amount_fen:
        raise Contradiction(f"payout {payout_id} is not what the channel paid")
    orders = {line.order_no for line in lines}
    posting = posting_for_payout(
        payout_id=payout_id,
        order_no=orders.pop() if len(orders) == 1 else None,
        spot_id=paid.spot_id,
        channel=paid.channel,
        amount_fen=paid.amount_fen,
        occurred_at=at,
    )
    await ledger.record(tx, [posting])
    await ctx.outbox.add(
        tx,
        [
            EntitlementSettled(
                entitlement_id=line.entitlement_id,
                order_no=line.order_no,
                spot_id=line.spot_id,
                payout_id=payout_id,
                paid_fen=line.amount_fen,
                settled_at=at,
            )
            for line in lines
        ],
    )


async def park_payout(tx: Tx, stuck: OperationStuck, ctx: SettlementContext) -> None:
    """Mark a payout that waits for a person; it may still be paid. Raises NotYet."""
    payout_id = stuck.operation_id
    parked = await payouts.change_payout(tx, payout_id, PayoutStatus.PARKED, reason=stuck.reason)
    if parked is None:  # parked before, or told late: what is certain stays
        await _require_status(tx, payout_id, set(PayoutStatus))
        return
    lines = await payouts.fail_lines(tx, payout_id, stuck.reason)
    await ctx.outbox.add(tx, [_settle_failed(line, stuck.reason, stuck.since) for line in lines])


async def fail_payout(tx: Tx, failed: OperationFailed, ctx: SettlementContext) -> None:
    """Mark a payout that the channel refused for good; its visits may yet be paid by another.

    Raises NotYet for an unknown payout, Contradiction for one that is paid.
    """
    payout_id, at = failed.operation_id, failed.finished_at
    refused = await payouts.change_payout(
        tx, payout_id, PayoutStatus.FAILED, reason=failed.reason, finished_at=at
    )
    if refused is None:
        await _require_status(tx, payout_id, {PayoutStatus.FAILED})
        return
    lines = await payouts.fail_lines(tx, payout_id, failed.reason)
    await ctx.outbox.add(tx, [_settle_failed(line, failed.reason, at) for line in lines])


async def _require_status(tx: Tx, payout_id: str, statuses: Collection[PayoutStatus]) -> None:
    """That a payout which did not change is where it may be. Raises NotYet, Contradiction."""
    known = await payouts.payout(tx, payout_id)
    if known is None:
        raise NotYet(f"payout {payout_id} is not known")
    if known.status not in statuses:
        raise Contradiction(f"payout {payout_id} is {known.status} already")


def _settle_failed(line: Record, reason: str, at: datetime) -> SettleFailed:
    return SettleFailed(
        entitlement_id=line.entitlement_id,
        order_no=line.order_no,
        spot_id=line.spot_id,
        reason=reason,
        failed_at=at,
    )
