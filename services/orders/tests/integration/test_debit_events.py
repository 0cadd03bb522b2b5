"""What the gateway tells of a debit: paid and issued in one step, and whatever else may come."""

import base64
from datetime import datetime
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from shanmen.common.broker.protocol import Fate
from shanmen.common.outbox import OUTBOX
from shanmen.common.testing.events import message_of
from shanmen.contracts.catalog import RealNameRule
from shanmen.contracts.gateway import DebitRequested
from shanmen.contracts.orders import OrderPaid, TicketsIssued
from shanmen.orders.tables import ENTITLEMENTS, ORDERS, TICKETS, TIMELINE

if TYPE_CHECKING:
    from services.orders.tests.conftest import Shop


async def test_a_debit_that_succeeded_pays_and_issues_the_order(shop: "Shop") -> None:
    order_no = (await shop.place(reseller="代购甲"))["order_no"]
    operation = await shop.pay(order_no)
    await shop.told(shop.succeeded(operation))

    view = await shop.view(order_no)
    assert (view["status"], view["payment"]["state"]) == ("issued", "succeeded")
    assert (view["payment"]["operation_id"], view["payment"]["reason"]) == (operation, None)
    assert len({ticket["ticket_no"] for ticket in view["tickets"]}) == 2
    for ticket in view["tickets"]:
        assert ticket["activated"] is True
        (spot,) = ticket["spots"]
        assert (
            spot.items()
            >= {
                "spot_id": "spt_1",
                "spot_name": "黄山",
                "shown": "awaiting_visit",
                "part_fen": 10_000,
                "valid_from": "2026-11-04T16:00:00Z",
                "valid_until": "2026-11-05T16:00:00Z",
                "used_at": None,
            }.items()
        )
    moves = [(row["kind"], row["before"], row["after"]) for row in await shop.rows(TIMELINE)]
    assert moves[2:] == [
        ("debit", "requested", "succeeded"),
        ("order", "awaiting_payment", "paid"),
        ("order", "paid", "issued"),
    ]


async def test_what_is_told_of_it(shop: "Shop") -> None:
    shop.stock.spots = ("spt_1", "spt_2")
    order_no = (await shop.place(quantity=1))["order_no"]
    operation = await shop.pay(order_no)
    await shop.told(shop.succeeded(operation))

    assert await shop.sent(OrderPaid) == [
        {
            "order_no": order_no,
            "distributor_id": "dst_1",
            "product_id": "prd_1",
            "operation_id": operation,
            "account": {"account_id": "acc_payer", "channel": "alipay"},
            "price_fen": 10_000,
            "fee_fen": 60,
            "paid_at": "2026-11-01T04:00:00Z",
            "product_name": "黄山一日票",
            "kind": "combined",
            "invests": False,
        }
    ]
    (issued,) = await shop.sent(TicketsIssued)
    (ticket,) = issued.pop("tickets")
    assert (
        issued.items()
        >= {
            "order_no": order_no,
            "distributor_id": "dst_1",
            "refund_rule": {"on_expiry": True, "before_visit": False, "refunds_fee": False},
        }.items()
    )
    rows = {row["entitlement_id"]: row for row in await shop.rows(ENTITLEMENTS)}
    for entitlement, spot_id in zip(ticket["entitlements"], ("spt_1", "spt_2"), strict=True):
        assert rows.pop(entitlement.pop("entitlement_id"))["ticket_no"] == ticket["ticket_no"]
        assert entitlement == {
            "spot_id": spot_id,
            "part_fen": 5_000,
            "settle_fen": 8_000,
            "settlement_fee_fen": 80,
            "receive_account": {"account_id": "acc_spot", "channel": "alipay"},
            "valid_from": "2026-11-04T16:00:00Z",
            "valid_until": "2026-11-05T16:00:00Z",
            "expires_at": "2026-11-05T17:00:00Z",  # and an hour of offline grace
        }
    assert rows == {}


async def test_the_code_of_each_ticket_is_signed(shop: "Shop") -> None:
    order = await shop.issued()
    key = Ed25519PrivateKey.from_private_bytes(bytes(range(32))).public_key()
    for ticket in order["tickets"]:
        signed, _, signature = ticket["qr"].rpartition(".")
        assert signed == f"SM1.2026a.{ticket['ticket_no']}"
        key.verify(base64.urlsafe_b64decode(signature + "=="), signed.encode())


async def test_a_ticket_that_needs_its_visitor_is_not_activated(shop: "Shop") -> None:
    shop.stock.real_name = RealNameRule.EVERY_TICKET
    order = await shop.issued()
    assert [ticket["activated"] for ticket in order["tickets"]] == [False, False]
    assert order["tickets"][0]["spots"][0]["shown"] == "awaiting_activation"
    (issued,) = await shop.sent(TicketsIssued)
    assert [ticket["activated"] for ticket in issued["tickets"]] == [False, False]


async def test_a_repeated_success_issues_nothing_more(shop: "Shop") -> None:
    order_no = (await shop.place())["order_no"]
    success = shop.succeeded(await shop.pay(order_no))
    message = message_of(success)
    await shop.told(message, message, success, message_of(success))
    await shop.tell(message, success, success)
    assert len(await shop.rows(TICKETS)) == 2
    assert len(await shop.sent(OrderPaid)) == len(await shop.sent(TicketsIssued)) == 1


async def test_what_is_told_late_changes_nothing_after_success(shop: "Shop") -> None:
    order_no = (await shop.place())["order_no"]
    operation = await shop.pay(order_no)
    await shop.told(shop.succeeded(operation))
    before = await shop.view(order_no)
    await shop.told(shop.stuck(operation), shop.failed(operation))
    assert await shop.view(order_no) == before


ROUNDS = [
    # what is told, in this order; the order's status and its debit's state
    (["stuck", "succeeded"], "issued", "succeeded"),
    (["failed", "stuck"], "awaiting_payment", "refused"),
    (["stuck", "failed"], "awaiting_payment", "refused"),
    (["stuck", "stuck"], "awaiting_payment", "short_of_funds"),
]


async def test_rounds_of_answers(shop: "Shop") -> None:
    for number, (told, status, state) in enumerate(ROUNDS):
        order_no = (await shop.place(f"A-{number}"))["order_no"]
        operation = await shop.pay(order_no)
        for name in told:
            await shop.told(getattr(shop, name)(operation))
        view = await shop.view(order_no)
        assert (told, view["status"], view["payment"]["state"]) == (told, status, state)


async def test_other_kinds_of_operations_are_none_of_our_business(shop: "Shop") -> None:
    order_no = (await shop.place())["order_no"]
    operation = await shop.pay(order_no)
    before = await shop.view(order_no)
    for kind in ("payout", "refund"):
        changed = {"kind": kind}
        await shop.told(
            shop.succeeded(operation, kind=kind),
            shop.failed(operation).model_copy(update=changed),
            shop.stuck(operation).model_copy(update=changed),
        )
    assert await shop.view(order_no) == before


async def test_money_that_no_order_ever_asked_for_is_for_a_person(shop: "Shop") -> None:
    """Parked with its reason, not shrugged off: somebody was debited."""
    (unknown,) = await shop.tell(shop.succeeded("deb_unknown"))
    assert unknown.fate is Fate.DEAD
    assert "deb_unknown" in unknown.reason


async def test_one_order_that_cannot_be_issued_leaves_its_neighbours(shop: "Shop") -> None:
    """Its offer is broken: it stays unpaid as a whole, and the batch's others are issued."""
    orders = [(await shop.place(f"A-{n}"))["order_no"] for n in range(3)]
    events = [shop.succeeded(await shop.pay(order_no)) for order_no in orders]
    async with shop.ctx.db.transaction() as tx:
        broken = {**(await shop.rows(ORDERS))[1]["offer"], "spots": [{}]}
        await tx.execute(
            ORDERS.update().where(ORDERS.c.order_no == orders[1]).values(offer=broken)
        )
    verdicts = await shop.tell(*events)
    assert [verdict.fate for verdict in verdicts] == [Fate.DONE, Fate.RETRY, Fate.DONE]
    rows = {row["order_no"]: row for row in await shop.rows(ORDERS)}
    assert [rows[order_no]["status"] for order_no in orders] == [
        "issued",
        "awaiting_payment",
        "issued",
    ]
    assert rows[orders[1]]["debit_state"] == "requested"
    assert len(await shop.rows(TICKETS)) == 4


async def test_every_event_lies_in_the_outbox_of_its_fact(shop: "Shop") -> None:
    order = await shop.issued()
    rows = await shop.rows(OUTBOX)
    assert [row["type"] for row in rows][1:] == [
        DebitRequested.TYPE,
        OrderPaid.TYPE,
        TicketsIssued.TYPE,
    ]
    assert {row["source"] for row in rows} == {"orders"}
    assert [row["subject"] for row in rows] == [
        order["order_no"],
        order["payment"]["operation_id"],
        order["order_no"],
        order["order_no"],
    ]
    assert datetime.fromisoformat(order["updated_at"]) >= datetime.fromisoformat(
        order["placed_at"]
    )
