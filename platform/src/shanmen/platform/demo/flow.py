"""The steps of the demo, each one public HTTP calls by the party that would make them."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import httpx

from shanmen.common.clock import Clock
from shanmen.common.ids import new_id
from shanmen.common.money import to_yuan
from shanmen.platform.api_client import ApiClient, ApiRefusal
from shanmen.platform.demo.narrator import Narrator
from shanmen.platform.installation import Installation
from shanmen.platform.sample import (
    SHANGHAI,
    Sample,
    Trader,
    account_body,
    mint,
    open_account,
)

T = TypeVar("T")

UNIT_PRICE_FEN: Final = 12_000
SETTLE_FEN: Final = 10_800
STOCK: Final = 20
SETTLED_WITHIN_S: Final = 60.0


@dataclass(frozen=True)
class Cast:
    """Who takes part in the demo, onboarded for it."""

    operator: ApiClient
    spot: ApiClient
    gate: ApiClient
    distributor: ApiClient
    spot_id: str
    distributor_id: str
    distributor_account: str
    spot_account: str
    clock: Clock


class DemoFailed(Exception):
    """A step did not end as it must."""


async def onboard(
    installation: Installation,
    client: httpx.AsyncClient,
    sample: Sample,
    narrator: Narrator,
    *,
    pays_by: str = "alipay",
    paid_by: str = "alipay",
) -> Cast:
    """Step 1 (入驻): a spot and a distributor join, with settlement accounts and tokens.

    The distributor is debited through the channel `pays_by`, the spot paid through `paid_by`.
    """
    narrator.chapter("1", "入驻", "A spot and a distributor join the platform")
    base_url = installation.url("edge")
    operator = ApiClient(client, base_url, sample.operator_token)
    host = await join_spot(installation, operator, narrator, name="示范景区", channel=paid_by)
    payer = distributor_account(pays_by)
    distributor = await operator.post(
        "/v1/distributors", {"name": payer.name, "transaction_fee_bps": 30}
    )
    distributor_id = distributor["distributor_id"]
    narrator.call("operator", "POST /v1/distributors", distributor_id)
    await use_account(
        *(installation, operator, narrator), party_id=distributor_id, role="pay", trader=payer
    )
    return Cast(
        operator=operator,
        spot=host.spot,
        gate=host.gate,
        distributor=ApiClient(
            client, base_url, await mint(operator, "distributor", distributor_id, "demo")
        ),
        spot_id=host.spot_id,
        distributor_id=distributor_id,
        distributor_account=payer.account_no,
        spot_account=host.account_no,
        clock=installation.clock(),
    )


@dataclass(frozen=True)
class Host:
    """A spot that has joined: its people, its gate, and the account where it is paid."""

    spot: ApiClient
    gate: ApiClient
    spot_id: str
    name: str
    channel: str
    account_no: str


async def join_spot(
    installation: Installation, operator: ApiClient, narrator: Narrator, *, name: str, channel: str
) -> Host:
    """A spot joins, to be paid through a channel; its people and its gate get their tokens."""
    base_url, client = installation.url("edge"), operator.client
    payee = Trader(f"208820{_serial()}", name, channel=channel)
    spot = await operator.post("/v1/spots", {"name": name, "settlement_fee_bps": 60})
    spot_id = spot["spot_id"]
    narrator.call("operator", "POST /v1/spots", spot_id)
    await use_account(
        *(installation, operator, narrator), party_id=spot_id, role="receive", trader=payee
    )
    people = ApiClient(client, base_url, await mint(operator, "spot", spot_id, "demo spot"))
    gate = ApiClient(client, base_url, await mint(people, "device", spot_id, "demo gate"))
    return Host(people, gate, spot_id, name, channel, payee.account_no)


def distributor_account(channel: str) -> Trader:
    """A well-filled account of the demo's distributor, under a withholding agreement."""
    serial = _serial()
    return Trader(
        f"208810{serial}",
        "示范旅行社",
        agreement_no=f"2026{serial}",
        opening_fen=10_000_000,
        channel=channel,
    )


async def use_account(
    installation: Installation,
    operator: ApiClient,
    narrator: Narrator,
    *,
    party_id: str,
    role: str,
    trader: Trader,
) -> None:
    """Open an account at its channel, and make it a party's default for a role."""
    await open_account(operator.client, installation, trader)
    account = await operator.post("/v1/accounts", account_body(party_id, role, trader))
    masked = account["account_no_masked"]
    narrator.call("operator", "POST /v1/accounts", f"{role}, {trader.channel} {masked}")


def _serial() -> str:
    return f"{secrets.randbelow(10**10):010d}"


async def publish(cast: Cast, narrator: Narrator) -> str:
    """Steps 2 and 3 (发布, 票池): the spot publishes a product, the distributor finds it."""
    narrator.chapter("2", "发布票务", "The spot publishes a ticket, with stock per day")
    product = await cast.spot.post(
        "/v1/products",
        {
            "name": "示范景区成人票",
            "unit_price_fen": UNIT_PRICE_FEN,
            "spots": [{"spot_id": cast.spot_id, "settle_fen": SETTLE_FEN}],
            "stock": [{"visit_date": today(cast.clock), "total": STOCK}],
        },
    )
    product_id = str(product["product_id"])
    narrator.call("spot", "POST /v1/products", f"{product_id}, {product['status']}")
    product = await cast.spot.post(f"/v1/products/{product_id}/publish")
    narrator.call("spot", "POST …/publish", f"draft → {product['status']}")
    narrator.chapter("3", "票池", "The distributor browses the pool")
    found = await cast.distributor.get("/v1/availability", product_id=product_id)
    entry = found["entries"][0]
    narrator.call(
        "distributor",
        "GET /v1/availability",
        f"{entry['visit_date']}: {entry['available']} left at {yuan(entry['unit_price_fen'])}",
    )
    return product_id


async def buy(cast: Cast, product_id: str, narrator: Narrator, *, quantity: int) -> dict[str, Any]:
    """Step 4 (下单, 支付, 出票): placed, debited through Alipay, issued."""
    narrator.chapter("4", "下单出票", "The distributor orders, is debited, and gets its tickets")
    order = await cast.distributor.post("/v1/orders", order_body(cast, product_id, quantity))
    narrator.call("distributor", "POST /v1/orders", f"{order['order_no']} → {order['status']}")
    before = order["status"]
    paid: dict[str, Any] = await cast.distributor.post(
        f"/v1/orders/{order['order_no']}/pay", wait_s=20
    )
    narrator.call("distributor", "POST …/pay (Prefer: wait)", f"{before} → {paid['status']}")
    narrator.money(f"Alipay debits the distributor {yuan(paid['amount_fen'])} (price and fee)")
    expect(paid["status"] == "issued", f"the order is {paid['status']}, not issued")
    for ticket in paid["tickets"]:
        narrator.note(f"ticket {ticket['ticket_no']}: {ticket['spots'][0]['shown']}")
    return paid


async def visit(cast: Cast, order: dict[str, Any], narrator: Narrator) -> None:
    """Step 5 (验票, 核销): every ticket is admitted once; a second scan is refused."""
    narrator.chapter("5", "验票", "The visitors come to the gate")
    for ticket in order["tickets"]:
        scan = await cast.gate.post("/v1/scans", {"qr": ticket["qr"]})
        narrator.call("gate", "POST /v1/scans", f"{ticket['ticket_no']} → {scan['verdict']}")
        expect(scan["verdict"] == "admitted", f"the scan was {scan['verdict']}: {scan['detail']}")
    again = await cast.gate.post("/v1/scans", {"qr": order["tickets"][0]["qr"]})
    narrator.call("gate", "POST /v1/scans, again", f"{again['verdict']}: {again['code']}")
    expect(again["code"] == "already_used", "a second scan must be refused")
    forged = await cast.gate.post("/v1/scans", {"qr": forge(order["tickets"][0]["qr"])})
    narrator.call("gate", "POST /v1/scans, altered", f"{forged['verdict']}: {forged['code']}")
    expect(forged["verdict"] == "refused", "a forged code must be refused")


async def settle(cast: Cast, order_no: str, narrator: Narrator) -> dict[str, Any]:
    """Step 5 (打款, 结算): each admission is paid out to the spot, and the order completes."""
    narrator.chapter("6", "结算", "The platform pays the spot, right after the visit")

    async def is_settled() -> dict[str, Any] | None:
        order: dict[str, Any] = await cast.distributor.get(f"/v1/orders/{order_no}")
        shown = {spot["shown"] for ticket in order["tickets"] for spot in ticket["spots"]}
        return order if order["status"] == "completed" and shown == {"settled"} else None

    order = await until(is_settled, f"{order_no} is not settled after {SETTLED_WITHIN_S:.0f} s")
    page = await cast.spot.get("/v1/settlements", order_no=order_no)
    for line in page["items"]:
        narrator.money(f"Alipay pays the spot {yuan(line['payable_fen'])} ({line['payout_id']})")
    narrator.call("distributor", f"GET /v1/orders/{order_no}", f"issued → {order['status']}")
    return order


async def cancel_another(cast: Cast, product_id: str, narrator: Narrator) -> dict[str, Any]:
    """交易关闭1: an order is cancelled before payment, and its stock is back."""
    narrator.chapter("7", "取消", "Another order is cancelled before it is paid")
    before = await left(cast, product_id)
    order = await cast.distributor.post("/v1/orders", order_body(cast, product_id, 5))
    held = await left(cast, product_id)
    narrator.call("distributor", "POST /v1/orders", f"{order['status']}, {before} → {held} left")
    expect(held == before - 5, f"{before} - 5 left expected, {held} found")
    cancelled: dict[str, Any] = await cast.distributor.post(
        f"/v1/orders/{order['order_no']}/cancel"
    )

    async def is_back() -> bool | None:
        return await left(cast, product_id) == before or None

    await until(is_back, "the stock of a cancelled order is not back")
    narrator.call(
        "distributor", "POST …/cancel", f"→ {cancelled['status']}, {held} → {before} left"
    )
    try:
        await cast.distributor.post(f"/v1/orders/{order['order_no']}/pay")
    except ApiRefusal as refusal:
        narrator.call("distributor", "POST …/pay", f"{refusal.status} {refusal.code}")
        expect(refusal.code == "order_closed", f"unexpected refusal {refusal.code}")
    else:
        raise DemoFailed("a closed order could be paid")
    return cancelled


async def left(cast: Cast, product_id: str) -> int:
    """What can still be sold."""
    found = await cast.distributor.get("/v1/availability", product_id=product_id)
    return int(found["entries"][0]["available"])


async def until(look: Callable[[], Awaitable[T | None]], otherwise: str) -> T:
    """Look until there is something to see. Raises DemoFailed when the time is over."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + SETTLED_WITHIN_S
    while (seen := await look()) is None:
        if loop.time() > deadline:
            raise DemoFailed(otherwise)
        await asyncio.sleep(0.05)
    return seen


def order_body(cast: Cast, product_id: str, quantity: int) -> dict[str, Any]:
    """An order for today."""
    return {
        "distributor_order_no": new_id("demo"),
        "product_id": product_id,
        "visit_date": today(cast.clock),
        "quantity": quantity,
    }


def today(clock: Clock) -> str:
    """The installation's date today, where the spots are."""
    return clock.now().astimezone(SHANGHAI).date().isoformat()


def forge(qr: str) -> str:
    """A code whose ticket number was altered after it was signed."""
    version, key_id, ticket_no, signature = qr.split(".")
    altered = ticket_no[:-1] + ("0" if ticket_no[-1] != "0" else "1")
    return f"{version}.{key_id}.{altered}.{signature}"


def expect(condition: bool, otherwise: str) -> None:
    """Raise DemoFailed unless the condition holds."""
    if not condition:
        raise DemoFailed(otherwise)


def yuan(amount_fen: int) -> str:
    """An amount for people."""
    return f"¥{to_yuan(amount_fen)}"
