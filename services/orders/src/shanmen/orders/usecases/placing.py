"""Placing orders, over lists: what arrived together shares transactions and a reservation call."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row

from shanmen.common.db import Tx
from shanmen.common.doorbell import announce_waiting
from shanmen.common.errors import Refusal, Unavailable
from shanmen.common.events import Event
from shanmen.common.idempotency import Claim, Reply, recall, remember
from shanmen.common.ids import new_id
from shanmen.contracts.catalog import Offer, ReservationResult, ReserveStock
from shanmen.contracts.orders import OrderClosed, OrderPlaced
from shanmen.orders.commands import Placement, PlaceOrder
from shanmen.orders.domain import DebitState, OrderStatus
from shanmen.orders.errors import DuplicateOrderNo, StockRefusal
from shanmen.orders.ports import OrdersContext
from shanmen.orders.queries import debits
from shanmen.orders.queries import orders as queries
from shanmen.orders.usecases.paying import debit_request, debit_row
from shanmen.orders.views import show_order, show_orders

Outcome = Placement | Refusal


async def place_orders(ctx: OrdersContext, commands: Sequence[PlaceOrder]) -> Sequence[Outcome]:
    """Place orders (等待支付); one placement or refusal per command, in order.

    Stock is reserved at catalog between two transactions, never inside one. An order that stands
    already under the distributor's number is given again if it is the same, else refused.
    """
    outcomes: dict[int, Outcome] = {}
    async with ctx.db.transaction() as tx:
        await _answer_known(tx, commands, outcomes)
    wanted = {
        position: new_id("ord") for position in range(len(commands)) if position not in outcomes
    }
    if wanted:
        try:
            results = await _reserve(ctx, commands, wanted)
        except Unavailable as error:
            # Asking once more for each of them would only add to catalog's trouble.
            outcomes.update(dict.fromkeys(wanted, error))
        else:
            async with ctx.db.transaction() as tx:
                await _write(tx, ctx, commands, results, outcomes)
    return [outcomes[position] for position in range(len(commands))]


async def _answer_known(
    tx: Tx, commands: Sequence[PlaceOrder], outcomes: dict[int, Outcome]
) -> None:
    """Answer repeats, by idempotency key or by order number, before any stock is touched."""
    recalled = await recall(tx, [command.claim for command in commands])
    standing = await queries.orders_by_business_key(tx, [c.business_key for c in commands])
    first: dict[tuple[str, str], int] = {}
    answers: list[tuple[Claim | None, Reply]] = []
    for position, (command, answer) in enumerate(zip(commands, recalled, strict=True)):
        order = standing.get(command.business_key)
        if answer is not None:
            outcomes[position] = _given_before(answer)
        elif order is not None:
            outcomes[position] = await _standing(tx, command, order, answers)
        elif first.setdefault(command.business_key, position) != position:
            outcomes[position] = Unavailable("The same order is being placed; ask again.")
    await remember(tx, answers)


def _given_before(answer: Reply | Refusal) -> Outcome:
    """What the command's idempotency key stands for already."""
    if isinstance(answer, Refusal):
        return answer
    return Placement(json.loads(answer.body)["order_no"], answer, is_new=False)


async def _standing(
    tx: Tx,
    command: PlaceOrder,
    order: Row[Any],
    answers: list[tuple[Claim | None, Reply]],
) -> Outcome:
    """The order that stands under the command's number, if it is the one that is asked for.

    Giving it again is an answer like any other: it is added to those to be remembered.
    """
    if not _same(command, order):
        return DuplicateOrderNo(
            f"{command.distributor_order_no} is the number of another order of yours."
        )
    (view,) = await show_orders(tx, [order], with_qr=True)
    reply = Reply.of(200, view.model_dump(mode="json"))
    answers.append((command.claim, reply))
    return Placement(order.order_no, reply, is_new=False)


def _same(command: PlaceOrder, order: Row[Any]) -> bool:
    asked = (command.product_id, command.visit_date, command.slot, command.quantity)
    resold = (command.reseller, command.reseller_order_no)
    return asked == (order.product_id, order.visit_date, order.slot, order.quantity) and (
        resold == (order.reseller, order.reseller_order_no)
    )


async def _reserve(
    ctx: OrdersContext, commands: Sequence[PlaceOrder], wanted: Mapping[int, str]
) -> Mapping[int, ReservationResult]:
    results = await ctx.stock.reserve(
        [
            ReserveStock(
                order_no=order_no,
                distributor_id=commands[position].distributor_id,
                product_id=commands[position].product_id,
                visit_date=commands[position].visit_date,
                slot=commands[position].slot,
                quantity=commands[position].quantity,
            )
            for position, order_no in wanted.items()
        ]
    )
    return dict(zip(wanted, results, strict=True))


async def _write(
    tx: Tx,
    ctx: OrdersContext,
    commands: Sequence[PlaceOrder],
    results: Mapping[int, ReservationResult],
    outcomes: dict[int, Outcome],
) -> None:
    """Write the orders whose stock is reserved, with their events and first answers."""
    now = ctx.clock.now()
    await queries.lock_numbers(tx, [result.order_no for result in results.values()])
    gone = await queries.given_up(tx, [result.order_no for result in results.values()])
    claims = await recall(tx, [commands[position].claim for position in results])
    rows: dict[int, dict[str, Any]] = {}
    unwanted: list[str] = []
    for (position, result), answer in zip(results.items(), claims, strict=True):
        if result.refused is not None:
            refused = result.refused
            outcomes[position] = StockRefusal(
                refused.status, refused.code, refused.detail, refused.field
            )
        elif answer is not None:  # the same key won while we reserved
            unwanted.append(result.order_no)
            outcomes[position] = _given_before(answer)
        elif result.order_no in gone or result.offer is None:
            outcomes[position] = Unavailable("Placing took too long; try again.")
        else:
            rows[position] = _row(commands[position], result.order_no, result.offer, now)
    unwanted += await _insert(tx, ctx, commands, rows, outcomes)
    await ctx.outbox.add(
        tx, [OrderClosed(order_no=order_no, reason="never_placed") for order_no in unwanted]
    )


async def _insert(
    tx: Tx,
    ctx: OrdersContext,
    commands: Sequence[PlaceOrder],
    rows: Mapping[int, dict[str, Any]],
    outcomes: dict[int, Outcome],
) -> list[str]:
    """Insert orders; returns the numbers of those that lost against an equal order number."""
    if not rows:
        return []
    # Sorted: two lists with the same numbers wait for each other in the same order.
    by_number = sorted(rows.values(), key=_business_key)
    written = await queries.insert_orders(tx, by_number)
    losers = [position for position, row in rows.items() if row["order_no"] not in written]
    answers: list[tuple[Claim | None, Reply]] = []
    if losers:
        standing = await queries.orders_by_business_key(
            tx, [commands[position].business_key for position in losers]
        )
        for position in losers:
            command = commands[position]
            order = standing[command.business_key]
            outcomes[position] = await _standing(tx, command, order, answers)
    for position, row in rows.items():
        if row["order_no"] in written:
            order = written[row["order_no"]]
            reply = Reply.of(
                202 if commands[position].pay else 201, show_order(order).model_dump(mode="json")
            )
            answers.append((commands[position].claim, reply))
            outcomes[position] = Placement(order.order_no, reply, is_new=True)
            if commands[position].will_wait:
                await announce_waiting(tx, order.order_no)
    await _tell(tx, ctx, commands, rows, written)
    await remember(tx, answers)
    return [rows[position]["order_no"] for position in losers]


async def _tell(
    tx: Tx,
    ctx: OrdersContext,
    commands: Sequence[PlaceOrder],
    rows: Mapping[int, dict[str, Any]],
    written: Mapping[str, Row[Any]],
) -> None:
    """Timeline, debits and events of the orders that were written."""
    entries: list[dict[str, Any]] = []
    numbers: list[dict[str, Any]] = []
    events: list[Event] = []
    for position, row in rows.items():
        order = written.get(row["order_no"])
        if order is None:
            continue
        actor = commands[position].principal.owner
        entries.append(_entry(order, "order", OrderStatus.AWAITING_PAYMENT, "placed", actor))
        events.append(
            OrderPlaced(
                order_no=order.order_no,
                distributor_id=order.distributor_id,
                product_id=order.product_id,
            )
        )
        if commands[position].pay:
            entries.append(_entry(order, "debit", DebitState.REQUESTED, "pay instructed", actor))
            events.append(debit_request(order))
            numbers.append(debit_row(order, order.placed_at))
    await debits.insert_debits(tx, numbers)
    await queries.add_timeline(tx, entries)
    await ctx.outbox.add(tx, events)


def _entry(order: Row[Any], kind: str, after: str, cause: str, actor: str) -> dict[str, Any]:
    return {
        "order_no": order.order_no,
        "at": order.placed_at,
        "kind": kind,
        "before": None if kind == "order" else DebitState.NONE,
        "after": after,
        "cause": cause,
        "actor": actor,
    }


def _row(command: PlaceOrder, order_no: str, offer: Offer, now: datetime) -> dict[str, Any]:
    return {
        "order_no": order_no,
        "distributor_id": command.distributor_id,
        "distributor_order_no": command.distributor_order_no,
        "reseller": command.reseller,
        "reseller_order_no": command.reseller_order_no,
        "product_id": command.product_id,
        "visit_date": command.visit_date,
        "slot": command.slot,
        "quantity": command.quantity,
        "price_fen": offer.unit_price_fen * offer.quantity,
        "fee_fen": offer.fee_fen,
        "offer": offer.model_dump(mode="json"),
        "status": OrderStatus.AWAITING_PAYMENT,
        "debit_state": DebitState.REQUESTED if command.pay else DebitState.NONE,
        "debit_operation_id": new_id("deb") if command.pay else None,
        "payment_deadline": now + timedelta(seconds=offer.payment_timeout_s),
        "placed_at": now,
        "updated_at": now,
    }


def _business_key(row: Mapping[str, Any]) -> tuple[str, str]:
    return row["distributor_id"], row["distributor_order_no"]


async def give_up_number(tx: Tx, ctx: OrdersContext, order_no: str) -> None:
    """Catalog holds stock for a number: if no order stands under it, none ever will."""
    await queries.lock_numbers(tx, [order_no])
    if await queries.order(tx, order_no) is None:
        await queries.give_up(tx, order_no)
        await ctx.outbox.add(tx, [OrderClosed(order_no=order_no, reason="never_placed")])
