"""Refunds before the visit (游玩前退款): gates first, money afterwards."""

from collections.abc import Collection, Sequence
from typing import Any, Final

from sqlalchemy import Row

from shanmen.common.auth import Principal, PrincipalKind
from shanmen.common.db import Tx
from shanmen.common.errors import Forbidden, Invalid
from shanmen.contracts.catalog import Offer
from shanmen.contracts.verification import VoidRequested
from shanmen.orders.domain import OrderStatus, Settlement, Usage
from shanmen.orders.errors import EntitlementNotRefundable, NotRefundableNow, RefundNotAllowed
from shanmen.orders.ports import OrdersContext
from shanmen.orders.queries import orders as queries
from shanmen.orders.schemas import NewRefund
from shanmen.orders.usecases.paying import own_order, record

_UNDER_WAY: Final = (Settlement.PENDING, Settlement.REFUND_FAILED)


async def refund_entitlements(
    tx: Tx, ctx: OrdersContext, principal: Principal, order_no: str, wish: NewRefund
) -> Row[Any]:
    """Ask for entitlements to be voided, which refunds them; returns the order.

    All that are meant or none; of one that was asked for before, nothing is asked again. A visit
    that comes first wins: the entitlement is used then, and stays so.
    Raises NotFound, Forbidden, NotRefundableNow, RefundNotAllowed, Invalid,
    EntitlementNotRefundable.
    """
    order = await own_order(tx, principal, order_no, lock=True)
    if principal.kind is not PrincipalKind.DISTRIBUTOR:
        raise Forbidden("Refunds before the visit are for the distributor who was debited.")
    if order.status != OrderStatus.ISSUED:
        raise NotRefundableNow(
            f"{order_no} is {order.status}; only an issued order (出票成功) is."
        )
    if not Offer.model_validate(order.offer).refund_rule.before_visit:
        raise RefundNotAllowed(f"{order_no} was sold without refunds before the visit.")
    entitlements = await queries.entitlements(tx, [order_no])
    meant = _meant(entitlements, wish)
    over = sorted(row.entitlement_id for row in meant if not _may_be_refunded(row))
    if over or not meant:
        raise EntitlementNotRefundable(
            f"Used, over or refunded already: {', '.join(over) or 'all of them'}.",
            entitlement_ids=over,
        )
    now = ctx.clock.now()
    wanted = await queries.want_refund(tx, [row.entitlement_id for row in meant], now)
    if wanted:
        await record(
            tx,
            ctx,
            order,
            "refund",
            None,
            after="requested",
            cause=f"{len(wanted)} entitlement(s): {wish.reason or 'no reason given'}",
            actor=principal.owner,
        )
        request = VoidRequested(order_no=order_no, entitlement_ids=tuple(wanted), requested_at=now)
        await ctx.outbox.add(tx, [request])
    return order


def _meant(entitlements: Sequence[Row[Any]], wish: NewRefund) -> list[Row[Any]]:
    """What is named, or everything that may be refunded. Raises Invalid for unknown names."""
    if wish.entitlement_ids is None and wish.ticket_nos is None:
        return [row for row in entitlements if _may_be_refunded(row)]
    ids = _known("entitlement_ids", wish.entitlement_ids, {r.entitlement_id for r in entitlements})
    ticket_nos = _known("ticket_nos", wish.ticket_nos, {row.ticket_no for row in entitlements})
    return [
        row for row in entitlements if row.entitlement_id in ids or row.ticket_no in ticket_nos
    ]


def _known(field: str, named: Sequence[str] | None, known: Collection[str]) -> set[str]:
    for position, name in enumerate(named or ()):
        if name not in known:
            detail = f"This order has no {name!r}."
            raise Invalid(detail, field=f"body.{field}.{position}", code="not_of_this_order")
    return {*(named or ())}


def _may_be_refunded(row: Row[Any]) -> bool:
    """Unused, or on its way back at the distributor's own wish."""
    is_under_way = row.refund_requested_at is not None and row.settlement in _UNDER_WAY
    return row.usage == Usage.UNUSED or (row.usage == Usage.VOIDED and is_under_way)
