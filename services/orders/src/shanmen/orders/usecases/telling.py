"""What a distributor is told of its orders, and in which words: one row per notice."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from pydantic_core import to_jsonable_python
from sqlalchemy import Row

from shanmen.common.db import Tx
from shanmen.orders.domain import Notice, OrderStatus, Settlement, Usage, spot_status
from shanmen.orders.ports import OrdersContext
from shanmen.orders.usecases.notifying import notify_distributor
from shanmen.orders.views import facts_of

Facts = Row[Any]
"""The row that a notice is about: an order, or an entitlement with `activated` of its ticket."""


def _order(order: Facts) -> dict[str, Any]:
    return {
        "distributor_order_no": order.distributor_order_no,
        "reseller_order_no": order.reseller_order_no,
        "status": order.status,
    }


def _payment(order: Facts) -> dict[str, Any]:
    return {
        **_order(order),
        "amount_fen": order.price_fen + order.fee_fen,
        "operation_id": order.debit_operation_id,
        "reason": order.debit_reason,
        "short_since": order.short_since,
        "deadline": order.payment_deadline,
    }


def _entitlement(entitlement: Facts) -> dict[str, Any]:
    return {
        "entitlement_id": entitlement.entitlement_id,
        "ticket_no": entitlement.ticket_no,
        "spot_id": entitlement.spot_id,
        "shown": spot_status(facts_of(entitlement)),
    }


def _visit(entitlement: Facts) -> dict[str, Any]:
    return {**_entitlement(entitlement), "used_at": entitlement.used_at}


def _refund(entitlement: Facts) -> dict[str, Any]:
    return {**_entitlement(entitlement), "refunded_fen": entitlement.refunded_fen}


def _failed_refund(entitlement: Facts) -> dict[str, Any]:
    return {**_entitlement(entitlement), "reason": entitlement.settlement_reason}


_DATA: Final[Mapping[Notice, Callable[[Facts], dict[str, Any]]]] = {
    Notice.ORDER_ISSUED: _order,
    Notice.ORDER_CLOSED: _order,
    Notice.ORDER_PAYMENT_SHORT: _payment,
    Notice.ORDER_COMPLETED: _order,
    Notice.ORDER_REFUNDED: _order,
    Notice.ENTITLEMENT_USED: _visit,
    Notice.ENTITLEMENT_REFUNDED: _refund,
    Notice.ENTITLEMENT_REFUND_FAILED: _failed_refund,
}

OF_USAGE: Final[Mapping[Usage, Notice]] = {Usage.USED: Notice.ENTITLEMENT_USED}
OF_SETTLEMENT: Final[Mapping[Settlement, Notice]] = {
    Settlement.REFUNDED: Notice.ENTITLEMENT_REFUNDED,
    Settlement.REFUND_FAILED: Notice.ENTITLEMENT_REFUND_FAILED,
}
OF_CONCLUSION: Final[Mapping[OrderStatus, Notice]] = {
    OrderStatus.COMPLETED: Notice.ORDER_COMPLETED,
    OrderStatus.CLOSED_REFUNDED: Notice.ORDER_REFUNDED,
}


async def tell_distributor(
    tx: Tx,
    ctx: OrdersContext,
    notice: Notice,
    order: Facts,
    entitlement: Facts | None = None,
    **more: str,
) -> None:
    """Tell an order's distributor something, of the order or of one of its entitlements."""
    about = order if entitlement is None else entitlement
    await notify_distributor(
        tx,
        ctx,
        distributor_id=order.distributor_id,
        order_no=order.order_no,
        event_type=notice,
        data=to_jsonable_python({**_DATA[notice](about), **more}),
    )
