"""Issuing (出票): a ticket exists once it has a number."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Row

from shanmen.common.db import Tx
from shanmen.common.ids import new_id
from shanmen.contracts.catalog import Offer, RealNameRule, SpotTerms
from shanmen.contracts.orders import IssuedEntitlement, IssuedTicket, TicketsIssued
from shanmen.orders.domain import ImpossibleFacts, OrderStatus
from shanmen.orders.ports import OrdersContext
from shanmen.orders.queries import orders as queries


async def issue_tickets(tx: Tx, ctx: OrdersContext, order: Row[Any]) -> Row[Any]:
    """Give every ticket of a paid order its number and its QR payload; the issued order.

    Raises ImpossibleFacts for an order that is not paid.
    """
    now = ctx.clock.now()
    offer = Offer.model_validate(order.offer)
    tickets = [_draw(offer) for _ in range(order.quantity)]
    await _write(tx, ctx, order, offer, tickets, now=now)
    issued = await queries.change_status(tx, order.order_no, OrderStatus.ISSUED, now)
    if issued is None:
        raise ImpossibleFacts(f"{order.order_no} is {order.status} and was to be issued")
    await queries.add_timeline(
        tx,
        [
            {
                "order_no": order.order_no,
                "at": now,
                "kind": "order",
                "before": OrderStatus.PAID,
                "after": OrderStatus.ISSUED,
                "cause": f"{len(tickets)} ticket number(s)",
                "actor": "orders",
            }
        ],
    )
    await ctx.outbox.add(
        tx,
        [
            TicketsIssued(
                order_no=order.order_no,
                distributor_id=order.distributor_id,
                product_id=order.product_id,
                issued_at=now,
                refund_rule=offer.refund_rule,
                tickets=tuple(tickets),
                invests=offer.invests,
            )
        ],
    )
    return issued


def _draw(offer: Offer) -> IssuedTicket:
    return IssuedTicket(
        ticket_no=new_id("tkt"),
        activated=offer.real_name is RealNameRule.NONE,
        entitlements=tuple(_entitlement(offer, spot) for spot in offer.spots),
    )


async def _write(
    tx: Tx,
    ctx: OrdersContext,
    order: Row[Any],
    offer: Offer,
    tickets: Sequence[IssuedTicket],
    *,
    now: datetime,
) -> None:
    names = {spot.spot_id: spot.spot_name for spot in offer.spots}
    await queries.insert_tickets(
        tx,
        [
            {
                "ticket_no": ticket.ticket_no,
                "order_no": order.order_no,
                "position": position,
                "qr": ctx.signer.payload(ticket.ticket_no),
                "activated": ticket.activated,
                "issued_at": now,
            }
            for position, ticket in enumerate(tickets, start=1)
        ],
        [
            {
                "entitlement_id": entitlement.entitlement_id,
                "ticket_no": ticket.ticket_no,
                "order_no": order.order_no,
                "spot_id": entitlement.spot_id,
                "spot_name": names[entitlement.spot_id],
                "part_fen": entitlement.part_fen,
                "valid_from": entitlement.valid_from,
                "valid_until": entitlement.valid_until,
            }
            for ticket in tickets
            for entitlement in ticket.entitlements
        ],
    )


def _entitlement(offer: Offer, spot: SpotTerms) -> IssuedEntitlement:
    valid_from = start_of_day(offer.valid_from, spot.time_zone)
    valid_until = start_of_day(offer.valid_until + timedelta(days=1), spot.time_zone)
    return IssuedEntitlement(
        entitlement_id=new_id("ent"),
        spot_id=spot.spot_id,
        part_fen=spot.part_fen,
        settle_fen=spot.settle_fen,
        settlement_fee_fen=spot.settlement_fee_fen,
        receive_account=spot.receive_account,
        valid_from=valid_from,
        valid_until=valid_until,
        expires_at=valid_until + timedelta(seconds=spot.offline_grace_s),
    )


def start_of_day(day: date, time_zone: str) -> datetime:
    """The first instant, in UTC, of a day in a spot's own time zone."""
    return datetime.combine(day, time.min, ZoneInfo(time_zone)).astimezone(UTC)
