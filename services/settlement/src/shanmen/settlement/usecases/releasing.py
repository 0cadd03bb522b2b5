"""Paying or refunding what ended, now or once it need not wait any longer, and why it waits."""

from datetime import datetime

from shanmen.common.db import Tx
from shanmen.common.events import Event
from shanmen.contracts.settlement import EntitlementSettled, RefundFailed, SettleFailed
from shanmen.contracts.terms import AccountRef
from shanmen.settlement.ports import SettlementContext
from shanmen.settlement.queries import holding, settlements
from shanmen.settlement.queries.rows import Record, Records
from shanmen.settlement.usecases.paying import pay_spot
from shanmen.settlement.usecases.refunding import refund_part


async def pay_or_refund(tx: Tx, ended: Record, ctx: SettlementContext) -> None:
    """Pay the spot of an entitlement that was used, or refund the part of one that lapsed.

    Raises NotYet before the debit is known that a refund gives back.
    """
    if ended.lapsed_at is not None:
        await refund_part(tx, ended, ctx)
    elif ended.payable_fen > 0:
        account = AccountRef(account_id=ended.account_id, channel=ended.channel)
        await pay_spot(tx, ended.spot_id, account, ctx)
    else:
        await _settle_without_payout(tx, ended, ctx)


async def release(tx: Tx, held: Record, ctx: SettlementContext) -> None:
    """Let the payout or refund of an entitlement go on that has waited."""
    await holding.release(tx, held.entitlement_id)
    await pay_or_refund(tx, held, ctx)


async def tell_waiting_failed(
    tx: Tx, failed: Records, reason: str, at: datetime, ctx: SettlementContext
) -> None:
    """待结算, 待退款: what these payouts and refunds wait for is stuck or was refused."""
    told: list[Event] = []
    for row in failed:
        failure = RefundFailed if row.used_at is None else SettleFailed
        told.append(
            failure(
                entitlement_id=row.entitlement_id,
                order_no=row.order_no,
                spot_id=row.spot_id,
                reason=reason,
                failed_at=at,
            )
        )
    await ctx.outbox.add(tx, told)


async def _settle_without_payout(tx: Tx, visit: Record, ctx: SettlementContext) -> None:
    await settlements.settle_unpaid(tx, visit.entitlement_id, visit.used_at)
    settled = EntitlementSettled(
        entitlement_id=visit.entitlement_id,
        order_no=visit.order_no,
        spot_id=visit.spot_id,
        payout_id=None,
        paid_fen=0,
        settled_at=visit.used_at,
    )
    await ctx.outbox.add(tx, [settled])
