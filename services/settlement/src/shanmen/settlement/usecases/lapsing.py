"""Entitlements that never will be used: their parts go back (退款), or stay (无须退款)."""

from datetime import datetime

from shanmen.common.db import Tx
from shanmen.common.errors import NotYet
from shanmen.contracts.settlement import EntitlementForfeited
from shanmen.contracts.verification import EntitlementExpired, EntitlementVoided
from shanmen.settlement.domain.ledger import posting_for_forfeit
from shanmen.settlement.domain.statuses import Settlement
from shanmen.settlement.errors import Contradiction
from shanmen.settlement.ports import SettlementContext
from shanmen.settlement.queries import ledger, settlements
from shanmen.settlement.queries.rows import Record
from shanmen.settlement.usecases.redeeming import settle_ended


async def refund_voided(tx: Tx, voided: EntitlementVoided, ctx: SettlementContext) -> None:
    """Give the part of a voided entitlement back.

    Raises NotYet before its order's debit and tickets are known, Contradiction when it was used.
    """
    lapsed = await _lapse(tx, voided.entitlement_id, voided.voided_at)
    if lapsed is not None:
        await settle_ended(tx, lapsed, ctx)


async def end_expired(tx: Tx, expired: EntitlementExpired, ctx: SettlementContext) -> None:
    """Give the part of an expired entitlement back, or keep it where its product says so.

    Raises NotYet before its order's debit and tickets are known, Contradiction when it was used.
    """
    lapsed = await _lapse(tx, expired.entitlement_id, expired.expired_at)
    if lapsed is None:
        return
    if lapsed.refund_on_expiry:
        await settle_ended(tx, lapsed, ctx)
    else:
        await _forfeit(tx, lapsed, ctx)


async def _lapse(tx: Tx, entitlement_id: str, at: datetime) -> Record | None:
    """Record that an entitlement never will be used; None where that is known. Raises NotYet,
    Contradiction."""
    lapsed = await settlements.mark_lapsed(tx, entitlement_id, at)
    if lapsed is None:
        known = await settlements.entitlement(tx, entitlement_id)
        if known is None:
            raise NotYet(f"entitlement {entitlement_id} is not issued")
        if known.used_at is not None:
            raise Contradiction(f"{entitlement_id} lapsed, and is used before")
    return lapsed


async def _forfeit(tx: Tx, lapsed: Record, ctx: SettlementContext) -> None:
    """Keep the part of an expired entitlement: it becomes margin."""
    await settlements.give_back(tx, lapsed.entitlement_id, Settlement.FORFEITED)
    if lapsed.part_fen > 0:
        posting = posting_for_forfeit(
            entitlement_id=lapsed.entitlement_id,
            order_no=lapsed.order_no,
            part_fen=lapsed.part_fen,
            occurred_at=lapsed.lapsed_at,
        )
        await ledger.record(tx, [posting])
    forfeited = EntitlementForfeited(
        entitlement_id=lapsed.entitlement_id,
        order_no=lapsed.order_no,
        spot_id=lapsed.spot_id,
        forfeited_at=lapsed.lapsed_at,
    )
    await ctx.outbox.add(tx, [forfeited])
