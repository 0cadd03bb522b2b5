"""Booking: what was sold, and who was admitted."""

from shanmen.common.db import Tx
from shanmen.common.errors import NotYet
from shanmen.contracts.orders import TicketsIssued
from shanmen.contracts.verification import EntitlementUsed
from shanmen.settlement.domain.ledger import posting_for_admission
from shanmen.settlement.domain.statuses import Settlement
from shanmen.settlement.errors import Contradiction
from shanmen.settlement.ports import SettlementContext
from shanmen.settlement.queries import ledger, settlements
from shanmen.settlement.usecases.redeeming import settle_ended


async def take_on_entitlements(tx: Tx, issued: TicketsIssued) -> None:
    """Keep the money side of every entitlement of an order, as it was sold."""
    rows = [
        {
            "entitlement_id": entitlement.entitlement_id,
            "ticket_no": ticket.ticket_no,
            "order_no": issued.order_no,
            "distributor_id": issued.distributor_id,
            "product_id": issued.product_id,
            "spot_id": entitlement.spot_id,
            "part_fen": entitlement.part_fen,
            "settle_fen": entitlement.settle_fen,
            "settlement_fee_fen": entitlement.settlement_fee_fen,
            "account_id": entitlement.receive_account.account_id,
            "channel": entitlement.receive_account.channel,
            "issued_at": issued.issued_at,
            "status": Settlement.PENDING,
            "refund_on_expiry": issued.refund_rule.on_expiry,
            "refunds_fee": issued.refund_rule.refunds_fee,
            "expires_at": entitlement.expires_at,
            "invests": issued.invests,
        }
        for ticket in issued.tickets
        for entitlement in ticket.entitlements
    ]
    if rows:
        await settlements.add_entitlements(tx, rows)


async def settle_visit(tx: Tx, used: EntitlementUsed, ctx: SettlementContext) -> None:
    """Book an admission, and start the spot's payout, which may have to wait for its money.

    Raises NotYet before the entitlement is known, or whether it is invested; Contradiction when
    its money was given back.
    """
    visit = await settlements.mark_used(tx, used.entitlement_id, used.used_at)
    if visit is None:
        await _require_known_visit(tx, used.entitlement_id)
        return
    posting = posting_for_admission(
        entitlement_id=visit.entitlement_id,
        order_no=visit.order_no,
        spot_id=visit.spot_id,
        part_fen=visit.part_fen,
        settle_fen=visit.settle_fen,
        settlement_fee_fen=visit.settlement_fee_fen,
        occurred_at=used.used_at,
    )
    await ledger.record(tx, [posting])
    await settle_ended(tx, visit, ctx)


async def _require_known_visit(tx: Tx, entitlement_id: str) -> None:
    """That a visit which changed nothing is a repeat. Raises NotYet, Contradiction."""
    known = await settlements.entitlement(tx, entitlement_id)
    if known is None:
        raise NotYet(f"entitlement {entitlement_id} is not issued")
    if known.used_at is None:
        raise Contradiction(f"{entitlement_id} is used, and lapsed before")
