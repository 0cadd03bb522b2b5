"""`kill -9` of any process at any moment: every order still ends settled, paid for once."""

import asyncio
import os
import random
import signal
from collections import Counter
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from shanmen.common.ids import new_id
from shanmen.platform.api_client import ApiClient, ApiRefusal
from shanmen.platform.demo import flow
from shanmen.platform.installation import ALIPAY_PLATFORM_ACCOUNT
from shanmen.platform.services import MODULES

if TYPE_CHECKING:
    from tests.conftest import Scene

ORDERS = 30
PROCESSES = ["edge", *(f"{service}-{kind}" for service in MODULES for kind in ("api", "worker"))]
CONVERGES_WITHIN_S = 90.0
PASSING = frozenset({500, 502, 503, 409})


@pytest.mark.timeout(300)
async def test_killing_every_process_loses_nothing_and_pays_nothing_twice(
    separate_scene: "Scene",
) -> None:
    scene = separate_scene
    product_id = await _publish_enough(scene)
    victims = random.Random(20_261_122).sample(PROCESSES, len(PROCESSES))
    buying = [asyncio.create_task(_buy_and_visit(scene, product_id, n)) for n in range(ORDERS)]
    killing = asyncio.create_task(_kill(scene, victims))
    order_nos = await asyncio.gather(*buying)
    await killing

    async def all_settled() -> bool | None:
        orders = [
            await _persist(scene.cast.distributor, "get", f"/v1/orders/{n}") for n in order_nos
        ]
        shown = Counter(s["shown"] for o in orders for t in o["tickets"] for s in t["spots"])
        done = {o["status"] for o in orders} == {"completed"} and set(shown) == {"settled"}
        return done or None

    async with asyncio.timeout(CONVERGES_WITHIN_S):
        while await all_settled() is None:
            await asyncio.sleep(0.5)
    await _assert_paid_once(scene, order_nos)


async def _buy_and_visit(scene: "Scene", product_id: str, number: int) -> str:
    """One visitor, as patient as a distributor's and a gate's software has to be."""
    await asyncio.sleep(number * 0.5)
    body = {**scene.order_body(product_id, 1), "pay": True}
    order = await _persist(scene.cast.distributor, "post", "/v1/orders", body)
    path = f"/v1/orders/{order['order_no']}"
    while order["status"] != "issued":
        await asyncio.sleep(0.2)
        order = await _persist(scene.cast.distributor, "get", path)
    scan = await _persist(
        scene.cast.gate, "post", "/v1/scans", {"qr": order["tickets"][0]["qr"]}, key=new_id("key")
    )
    while scan["code"] == "unknown_ticket":  # the gate has not heard of it yet
        await asyncio.sleep(0.5)
        scan = await _persist(
            scene.cast.gate,
            "post",
            "/v1/scans",
            {"qr": order["tickets"][0]["qr"]},
            key=new_id("key"),
        )
    assert scan["verdict"] == "admitted", scan
    return str(order["order_no"])


async def _persist(client: ApiClient, verb: str, path: str, *body: Any, **more: Any) -> Any:
    """Repeat a call, unchanged, until it is answered for good."""
    while True:
        try:
            return await getattr(client, verb)(path, *body, **more)
        except ApiRefusal as refusal:
            if refusal.status not in PASSING:
                raise
        except (httpx.HTTPError, ValueError):
            pass
        await asyncio.sleep(0.2)


async def _kill(scene: "Scene", victims: list[str]) -> None:
    """Kill two processes at a time at odd moments, and start what is missing again."""
    for first in range(0, len(victims), 2):
        await asyncio.sleep(0.3)
        for victim in victims[first : first + 2]:
            os.kill(scene.stack.pid(victim), signal.SIGKILL)
        revived = await asyncio.to_thread(scene.stack.run, "up")
        assert revived.returncode == 0, revived.stdout + revived.stderr


async def _publish_enough(scene: "Scene") -> str:
    product = await scene.cast.spot.post(
        "/v1/products",
        {
            "name": "不倒票",
            "unit_price_fen": 10_000,
            "spots": [{"spot_id": scene.cast.spot_id, "settle_fen": 9_000}],
            "stock": [{"visit_date": flow.today(scene.cast.clock), "total": ORDERS}],
            "publish": True,
        },
    )
    return str(product["product_id"])


async def _assert_paid_once(scene: "Scene", order_nos: list[str]) -> None:
    """Alipay's own books: one debit per order, one payout per visit, and our ledger agrees."""
    assert len(set(order_nos)) == ORDERS
    debited = await _movements(scene, scene.cast.distributor_account)
    paid = await _movements(scene, scene.cast.spot_account)
    # 100.00 and 0.3 % of it from the distributor; 90.00 less 0.6 % to the spot.
    assert debited == Counter({("out", 10_030): ORDERS})
    assert paid == Counter({("in", 8_946): ORDERS})
    trial = await scene.cast.operator.get("/v1/ledger/accounts", prefix="cash:")
    account = await scene.alipay(f"accounts/{ALIPAY_PLATFORM_ACCOUNT}")
    assert trial["balanced"]
    assert trial["accounts"][0]["balance_fen"] == account["balance_fen"]
    assert await flow.left(scene.cast, await _product_of(scene, order_nos[0])) == 0


async def _movements(scene: "Scene", account_no: str) -> Counter[tuple[str, int]]:
    """What moved on an account since it was opened, by direction and amount."""
    entries = (await scene.alipay(f"accounts/{account_no}/entries"))["entries"]
    return Counter(
        (entry["direction"], entry["amount_fen"])
        for entry in entries
        if entry["kind"] != "opening"
    )


async def _product_of(scene: "Scene", order_no: str) -> str:
    return str((await scene.cast.distributor.get(f"/v1/orders/{order_no}"))["product_id"])
