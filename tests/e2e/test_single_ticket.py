"""A single ticket from the pool to the spot's account, through public HTTP, in both modes."""

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Any

from rich.console import Console

from shanmen.platform.api_client import ApiRefusal
from shanmen.platform.demo import flow
from shanmen.platform.demo.evidence import gather_evidence
from shanmen.platform.demo.narrator import Narrator
from shanmen.platform.sample import mint

if TYPE_CHECKING:
    from tests.conftest import Scene

QUIET = Narrator(Console(quiet=True))


async def test_a_ticket_is_sold_used_and_settled_and_all_books_agree(scene: "Scene") -> None:
    order = await flow.buy(scene.cast, scene.product_id, QUIET, quantity=3)
    await flow.visit(scene.cast, order, QUIET)
    settled = await flow.settle(scene.cast, order["order_no"], QUIET)
    evidence = await gather_evidence(
        scene.stack.installation, scene.client, scene.cast, [order["order_no"]]
    )
    assert evidence.disagreements == []
    # 3 × 120.00 and 0.3 % of it; 108.00 less 0.6 % to the spot for each visit.
    trade = await scene.alipay(f"trades/{settled['payment']['operation_id']}")
    assert trade["amount_fen"] == 36_108
    assert [spot["paid_fen"] for spot in evidence.orders[0]["spots"]] == [10_735] * 3
    assert settled["status"] == "completed"
    assert settled["refund_status"] == "none"


async def test_the_timeline_tells_the_whole_life_of_an_order(scene: "Scene") -> None:
    order = await flow.buy(scene.cast, scene.product_id, QUIET, quantity=1)
    await flow.visit(scene.cast, order, QUIET)
    await flow.settle(scene.cast, order["order_no"], QUIET)
    timeline = await scene.cast.distributor.get(f"/v1/orders/{order['order_no']}/timeline")
    told = [(e["kind"], e["before"], e["after"]) for e in timeline["entries"]]
    assert told == [
        ("order", None, "awaiting_payment"),
        ("debit", "none", "requested"),
        ("debit", "requested", "succeeded"),
        ("order", "awaiting_payment", "paid"),
        ("order", "paid", "issued"),
        ("order", "issued", "completed"),
    ]


async def test_a_cancelled_order_gives_its_stock_back_once(scene: "Scene") -> None:
    before = await flow.left(scene.cast, scene.product_id)
    await flow.cancel_another(scene.cast, scene.product_id, QUIET)
    assert await flow.left(scene.cast, scene.product_id) == before


async def test_an_order_unpaid_at_its_deadline_is_closed_and_its_stock_is_back(
    scene: "Scene",
) -> None:
    product = await scene.cast.spot.post("/v1/products", _product(scene, payment_timeout_s=1))
    order = await scene.cast.distributor.post(
        "/v1/orders", scene.order_body(product["product_id"], 2)
    )

    async def is_closed() -> dict[str, Any] | None:
        found: dict[str, Any] = await scene.cast.distributor.get(f"/v1/orders/{order['order_no']}")
        full = await flow.left(scene.cast, product["product_id"]) == flow.STOCK
        return found if found["status"] == "closed_unpaid" and full else None

    closed = await flow.until(is_closed, "the order was not closed")
    assert closed["payment"]["state"] == "none"


async def test_two_hundred_buyers_of_fifty_seats_get_exactly_fifty(scene: "Scene") -> None:
    product = await scene.cast.spot.post("/v1/products", _product(scene, stock=50))

    async def buy() -> str:
        try:
            await scene.cast.distributor.post(
                "/v1/orders",
                {**scene.order_body(product["product_id"], 1), "pay": True},
            )
        except ApiRefusal as refusal:
            return refusal.code
        return "sold"

    outcomes = Counter(await asyncio.gather(*(buy() for _ in range(200))))
    assert outcomes == {"sold": 50, "sold_out": 150}
    assert await flow.left(scene.cast, product["product_id"]) == 0


async def test_eight_gates_admit_one_ticket_once(scene: "Scene") -> None:
    order = await flow.buy(scene.cast, scene.product_id, QUIET, quantity=1)
    gates = [
        scene.as_principal(await mint(scene.cast.spot, "device", scene.cast.spot_id, f"g{n}"))
        for n in range(8)
    ]
    qr = order["tickets"][0]["qr"]
    scans = await asyncio.gather(*(gate.post("/v1/scans", {"qr": qr}) for gate in gates))
    assert Counter(scan["verdict"] for scan in scans) == {"admitted": 1, "refused": 7}
    first = next(scan for scan in scans if scan["verdict"] == "admitted")
    for scan in scans:
        if scan is not first:
            assert scan["code"] == "already_used"
            assert scan["first_admission"]["scan_id"] == first["scan_id"]
            assert scan["first_admission"]["device"] == first["device"]


async def test_a_double_submit_is_one_order_and_one_debit(scene: "Scene") -> None:
    body = {**scene.order_body(scene.product_id, 1), "pay": True}

    async def submit() -> str:
        try:
            return str(
                (await scene.cast.distributor.post("/v1/orders", body, wait_s=20))["order_no"]
            )
        except ApiRefusal as refusal:
            return refusal.code

    answers = Counter(await asyncio.gather(*(submit() for _ in range(40))))
    numbers = [answer for answer in answers if answer.startswith("ord_")]
    assert len(numbers) == 1, answers
    assert set(answers) - set(numbers) <= {"unavailable", "idempotency_key_in_use"}
    account = scene.cast.distributor_account
    journal = (await scene.alipay(f"accounts/{account}/entries"))["entries"]
    assert len([entry for entry in journal if entry["direction"] == "out"]) == 1


async def test_bad_input_is_refused_with_its_own_code_and_changes_nothing(scene: "Scene") -> None:
    distributor, body = scene.cast.distributor, scene.order_body(scene.product_id, 1)
    before = await flow.left(scene.cast, scene.product_id)
    for change, status, code in (
        ({"quantity": 0}, 422, "quantity_out_of_range"),
        ({"quantity": 10_000}, 422, "quantity_out_of_range"),
        ({"visit_date": "2001-01-01"}, 422, "past_date"),
        ({"visit_date": "2099-01-01"}, 422, "no_stock_entry"),
        ({"visit_date": "tomorrow"}, 422, "invalid"),
        ({"product_id": "prd_unknown"}, 404, "not_found"),
        ({"surprise": 1}, 422, "invalid"),
    ):
        refused = await _refusal(distributor.post("/v1/orders", {**body, **change}))
        assert (refused.status, refused.code) == (status, code), change
    await scene.cast.spot.post(f"/v1/products/{scene.product_id}/withdraw")
    closed = await _refusal(distributor.post("/v1/orders", body))
    assert (closed.status, closed.code) == (409, "sale_closed")
    # A withdrawn product is no longer in the pool; the spot still sees its calendar.
    calendar = await scene.cast.spot.get("/v1/availability", product_id=scene.product_id)
    assert calendar["entries"][0]["available"] == before


async def test_nobody_sees_another_distributors_order(scene: "Scene") -> None:
    order = await scene.cast.distributor.post("/v1/orders", scene.order_body(scene.product_id, 1))
    foreign = scene.as_principal(scene.stack.sample.distributor_token)
    for path in ("", "/timeline"):
        hidden = await _refusal(foreign.get(f"/v1/orders/{order['order_no']}{path}"))
        unknown = await _refusal(foreign.get(f"/v1/orders/ord_UNKNOWN{path}"))
        assert (hidden.status, hidden.code) == (unknown.status, unknown.code) == (404, "not_found")
    cancelling = await _refusal(foreign.post(f"/v1/orders/{order['order_no']}/cancel"))
    assert cancelling.status == 404
    anonymous = await _refusal(scene.as_principal("shm_wrong").get("/v1/orders"))
    assert anonymous.status == 401
    gate = await _refusal(scene.cast.gate.get("/v1/orders"))
    assert gate.status == 403


async def test_internal_paths_are_not_reachable_from_outside(scene: "Scene") -> None:
    edge = scene.stack.installation.url("edge")
    token = scene.stack.installation.service_token("gateway-adapters")
    answer = await scene.client.get(
        f"{edge}/internal/accounts/acc_x", headers={"Authorization": f"Bearer {token}"}
    )
    assert answer.status_code == 404
    assert answer.json()["code"] == "not_found"


async def test_one_openapi_document_describes_every_route(scene: "Scene") -> None:
    document = (
        await scene.client.get(f"{scene.stack.installation.url('edge')}/openapi.json")
    ).json()
    for path in ("/v1/spots", "/v1/orders", "/v1/scans", "/v1/ledger/accounts", "/v1/operations"):
        assert path in document["paths"]
    assert not [path for path in document["paths"] if path.startswith("/internal")]


async def test_a_forged_notification_has_no_effect_and_is_kept_as_an_alert(scene: "Scene") -> None:
    order = await scene.cast.distributor.post("/v1/orders", scene.order_body(scene.product_id, 1))
    answer = await scene.client.post(
        f"{scene.stack.installation.url('edge')}/notify/alipay",
        data={
            "notify_id": "forged",
            "app_id": "2021000000000001",
            "out_trade_no": order["order_no"],
            "trade_status": "TRADE_SUCCESS",
            "total_amount": "120.36",
            "sign_type": "RSA2",
            "sign": "bm90IGEgc2lnbmF0dXJl",
        },
    )
    assert answer.status_code == 400
    assert answer.json()["code"] == "notification_rejected"
    alerts = await scene.cast.operator.get("/v1/notifications", believed=False)
    assert alerts[0]["verdict"] == "bad_signature"
    unchanged = await scene.cast.distributor.get(f"/v1/orders/{order['order_no']}")
    assert unchanged["status"] == "awaiting_payment"


def _product(scene: "Scene", *, stock: int = flow.STOCK, **more: Any) -> dict[str, Any]:
    today = flow.today(scene.cast.clock)
    return {
        "name": "竞争票",
        "unit_price_fen": 1_000,
        "stock": [{"visit_date": today, "total": stock}],
        "publish": True,
        **more,
    }


async def _refusal(call: Any) -> ApiRefusal:
    try:
        answer = await call
    except ApiRefusal as refusal:
        return refusal
    raise AssertionError(f"not refused: {answer}")
