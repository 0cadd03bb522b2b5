"""Orders as they are shown: rows, and what is derived from them."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Row

from shanmen.common.db import Tx
from shanmen.contracts.catalog import Offer
from shanmen.orders.domain import (
    DebitState,
    Settlement,
    Shown,
    SpotFacts,
    Usage,
    refund_status,
    spot_status,
)
from shanmen.orders.queries import orders as queries
from shanmen.orders.schemas import EntitlementView, OrderView, PaymentView, TicketView


def facts_of(row: Row[Any]) -> SpotFacts:
    """The facts in an entitlement's row."""
    return SpotFacts(Usage(row.usage), row.activated, Settlement(row.settlement))


async def show_orders(tx: Tx, orders: Sequence[Row[Any]], *, with_qr: bool) -> list[OrderView]:
    """Orders with their tickets and entitlements, in the order given."""
    order_nos = [order.order_no for order in orders]
    tickets = await queries.tickets(tx, order_nos) if orders else []
    entitlements = await queries.entitlements(tx, order_nos) if tickets else []
    tickets_of = _grouped("order_no", tickets)
    entitlements_of = _grouped("order_no", entitlements)
    return [
        show_order(
            order,
            tickets_of[order.order_no],
            entitlements_of[order.order_no],
            with_qr=with_qr,
        )
        for order in orders
    ]


def _grouped(column: str, rows: Iterable[Row[Any]]) -> Mapping[str, list[Row[Any]]]:
    groups: defaultdict[str, list[Row[Any]]] = defaultdict(list)
    for row in rows:
        groups[getattr(row, column)].append(row)
    return groups


def show_order(
    order: Row[Any],
    tickets: Sequence[Row[Any]] = (),
    entitlements: Sequence[Row[Any]] = (),
    *,
    with_qr: bool = False,
) -> OrderView:
    """One order from its rows."""
    offer = Offer.model_validate(order.offer)
    shown: list[Shown] = [spot_status(facts_of(row)) for row in entitlements]
    entitlements_of = _grouped("ticket_no", entitlements)
    amount_fen = order.price_fen + order.fee_fen
    return OrderView(
        order_no=order.order_no,
        distributor_id=order.distributor_id,
        distributor_order_no=order.distributor_order_no,
        reseller=order.reseller,
        reseller_order_no=order.reseller_order_no,
        kind=offer.kind,
        product_id=order.product_id,
        product_name=offer.product_name,
        visit_date=order.visit_date,
        slot=order.slot,
        quantity=order.quantity,
        unit_price_fen=offer.unit_price_fen,
        price_fen=order.price_fen,
        fee_fen=order.fee_fen,
        amount_fen=amount_fen,
        debited_fen=amount_fen if order.debit_state == DebitState.SUCCEEDED else 0,
        refunded_fen=sum(row.refunded_fen or 0 for row in entitlements),
        status=order.status,
        refund_status=refund_status(shown),
        payment=PaymentView(
            state=order.debit_state,
            reason=order.debit_reason,
            operation_id=order.debit_operation_id,
            short_since=order.short_since,
            deadline=order.payment_deadline,
        ),
        cancel_requested_at=order.cancel_requested_at,
        tickets=[
            show_ticket(ticket, entitlements_of[ticket.ticket_no], with_qr=with_qr)
            for ticket in tickets
        ],
        placed_at=order.placed_at,
        updated_at=order.updated_at,
        version=order.version,
    )


def show_ticket(
    ticket: Row[Any], entitlements: Sequence[Row[Any]], *, with_qr: bool
) -> TicketView:
    """One ticket with its entitlements."""
    return TicketView(
        ticket_no=ticket.ticket_no,
        order_no=ticket.order_no,
        activated=ticket.activated,
        issued_at=ticket.issued_at,
        qr=ticket.qr if with_qr else None,
        spots=[
            EntitlementView(
                entitlement_id=row.entitlement_id,
                spot_id=row.spot_id,
                spot_name=row.spot_name,
                shown=spot_status(facts_of(row)),
                reason=row.settlement_reason,
                part_fen=row.part_fen,
                refund_requested_at=row.refund_requested_at,
                refunded_fen=row.refunded_fen,
                valid_from=row.valid_from,
                valid_until=row.valid_until,
                used_at=row.used_at,
            )
            for row in entitlements
        ],
    )
