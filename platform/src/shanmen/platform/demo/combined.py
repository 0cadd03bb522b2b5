"""The demo's combined ticket (联票): sold by Huijinbao, invested between sale and visit."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import httpx

from shanmen.common.ids import new_id
from shanmen.platform.api_client import ApiRefusal
from shanmen.platform.checks.view import PLATFORM_ACCOUNTS
from shanmen.platform.demo.flow import (
    Cast,
    Host,
    distributor_account,
    expect,
    join_spot,
    order_body,
    today,
    until,
    use_account,
    yuan,
)
from shanmen.platform.demo.narrator import Narrator
from shanmen.platform.installation import Installation
from shanmen.platform.localclock import CHANNELS, move_world

PRODUCT_NAME: Final = "示范双景区联票"
PRICE_FEN: Final = 20_000
SETTLE_FEN: Final = (9_000, 7_000)
VALID_DAYS: Final = 30
QUANTITY: Final = 3
FUNDS_FEN: Final = 50_000


@dataclass(frozen=True)
class Tour:
    """A combined product that is on sale, and the spots that it admits to."""

    product_id: str
    hosts: tuple[Host, ...]


class Travel:
    """Moves the time of an installation and its channels, and remembers the days that it saw."""

    def __init__(self, installation: Installation, client: httpx.AsyncClient) -> None:
        self._installation = installation
        self._client = client
        self.days = [today(installation.clock())]

    async def forward(self, by: timedelta, narrator: Narrator) -> None:
        """Let time pass."""
        urls = {name: self._installation.url(name) for name in CHANNELS}
        await move_world(self._installation.state, urls, self._client, by)
        self.days.append(today(self._installation.clock()))
        narrator.note(f"⏲ {by} later: it is {self.days[-1]}")


async def fund(
    installation: Installation, client: httpx.AsyncClient, cast: Cast, narrator: Narrator
) -> None:
    """注资: the owner tops a channel account up, and an operator records it."""
    for channel, account_no in PLATFORM_ACCOUNTS.items():
        body = {"amount_fen": FUNDS_FEN, "reference": new_id("fund")}
        admin = f"{installation.url(channel)}/admin/accounts/{account_no}/top-up"
        (await client.post(admin, json=body)).raise_for_status()
        recorded = {"channel": channel, "direction": "in", "note": "示范注资", **body}
        await cast.operator.post("/v1/top-ups", recorded)
        narrator.call("operator", "POST /v1/top-ups", f"{channel}: {yuan(FUNDS_FEN)}")


async def publish(installation: Installation, cast: Cast, narrator: Narrator) -> Tour:
    """联票: the platform chooses the spots and sets the prices; every spot has to consent."""
    narrator.chapter("8", "联票", "The platform publishes a ticket for two spots, on two channels")
    here = Host(cast.spot, cast.gate, cast.spot_id, "示范景区", "alipay", cast.spot_account)
    there = await join_spot(
        installation, cast.operator, narrator, name="示范古镇", channel="huijinbao"
    )
    hosts = (here, there)
    await fund(installation, cast.operator.client, cast, narrator)
    product = await cast.operator.post(
        "/v1/products",
        {
            "kind": "combined",
            "name": PRODUCT_NAME,
            "unit_price_fen": PRICE_FEN,
            "spots": [
                {"spot_id": host.spot_id, "settle_fen": fen}
                for host, fen in zip(hosts, SETTLE_FEN, strict=True)
            ],
            "valid_days": VALID_DAYS,
            "stock": [{"visit_date": today(cast.clock), "total": 50}],
            "refund_rule": {"before_visit": True},
        },
    )
    product_id = str(product["product_id"])
    prices = " + ".join(yuan(fen) for fen in SETTLE_FEN)
    narrator.call("operator", "POST /v1/products", f"{yuan(PRICE_FEN)} for {prices} to the spots")
    for host in hosts:
        answer = {"answer": "accept", "version": product["terms_version"]}
        await host.spot.post(f"/v1/products/{product_id}/consents", answer)
        narrator.call("spot", "POST …/consents", f"{host.name} accepts")
    published = await cast.operator.post(f"/v1/products/{product_id}/publish")
    narrator.call("operator", "POST …/publish", f"draft → {published['status']}")
    return Tour(product_id, hosts)


async def buy(
    installation: Installation, cast: Cast, tour: Tour, narrator: Narrator
) -> dict[str, Any]:
    """理财: the price is debited through Huijinbao and invested at once."""
    narrator.chapter("9", "理财", "Sold, and invested until the visits")
    await use_account(
        *(installation, cast.operator, narrator),
        party_id=cast.distributor_id,
        role="pay",
        trader=distributor_account("huijinbao"),
    )
    body = order_body(cast, tour.product_id, QUANTITY)
    order: dict[str, Any] = await cast.distributor.post(
        "/v1/orders", {**body, "pay": True}, wait_s=20
    )
    expect(order["status"] == "issued", f"the order is {order['status']}, not issued")
    narrator.call("distributor", "POST /v1/orders", f"{order['order_no']} → {order['status']}")
    narrator.money(f"Huijinbao debits the distributor {yuan(order['amount_fen'])}")
    invested_fen = QUANTITY * PRICE_FEN

    async def is_invested() -> dict[str, Any] | None:
        found = await position(cast, tour.product_id)
        return found if found and found["invested_fen"] == invested_fen else None

    held = await until(is_invested, "the order's price is not invested")
    narrator.money(f"{yuan(held['outstanding_fen'])} go into the wealth product")
    return order


async def visit(
    cast: Cast, tour: Tour, order: dict[str, Any], travel: Travel, narrator: Narrator
) -> None:
    """Visits on different days; a part is refunded before its visit; the rest waits."""
    narrator.chapter("10", "游玩", "Visits on different days, and a partial refund")
    here, there = tour.hosts
    first, second, _ = order["tickets"]
    await _admit(here, first, narrator)
    await _admit(here, second, narrator)
    await _until_shown(cast, order, {"settled": 2, "awaiting_visit": 4})
    await travel.forward(timedelta(days=1), narrator)
    await _admit(there, first, narrator)
    left = next(spot for spot in second["spots"] if spot["spot_id"] == there.spot_id)
    await cast.distributor.post(
        f"/v1/orders/{order['order_no']}/refund", {"entitlement_ids": [left["entitlement_id"]]}
    )
    narrator.call("distributor", "POST …/refund", f"{second['ticket_no']} at {there.name}")
    await _until_shown(cast, order, {"settled": 3, "refunded": 1, "awaiting_visit": 2})
    refunds = (await cast.operator.get("/v1/refunds", order_no=order["order_no"]))["items"]
    for refund in refunds:
        narrator.money(f"redeemed, then refunded: {yuan(refund['amount_fen'])}")


async def end(
    cast: Cast, tour: Tour, order: dict[str, Any], travel: Travel, narrator: Narrator
) -> dict[str, Any]:
    """到期清算: what is still invested comes out with its yield; what nobody visited goes back."""
    narrator.chapter("11", "到期清算", "The product ends: liquidated with its yield, and refunded")
    await travel.forward(timedelta(days=VALID_DAYS), narrator)

    async def is_liquidated() -> dict[str, Any] | None:
        found = await position(cast, tour.product_id)
        return found if found and found["liquidated_at"] else None

    found = await until(is_liquidated, "the product is not liquidated")
    narrator.money(f"Huijinbao pays out the rest, and {yuan(found['realised_fen'])} of yield")
    ended = await _until_shown(cast, order, {"settled": 3, "refunded": 3})
    narrator.call(
        "distributor",
        f"GET /v1/orders/{order['order_no']}",
        f"{ended['status']}, {ended['refund_status']}",
    )
    expect(found["outstanding_fen"] == 0, f"{found['outstanding_fen']} fen are still invested")
    return found


async def position(cast: Cast, product_id: str) -> dict[str, Any] | None:
    """What is invested for a product, once something was."""
    try:
        found: dict[str, Any] = await cast.operator.get(f"/v1/wealth/positions/{product_id}")
    except ApiRefusal as refusal:
        if refusal.status == httpx.codes.NOT_FOUND:
            return None
        raise
    return found


async def _admit(host: Host, ticket: dict[str, Any], narrator: Narrator) -> None:
    """Scan a ticket that the gates may have to hear of first."""

    async def look() -> dict[str, Any] | None:
        scan: dict[str, Any] = await host.gate.post("/v1/scans", {"qr": ticket["qr"]})
        return None if scan["code"] == "unknown_ticket" else scan

    scan = await until(look, f"{ticket['ticket_no']} is not known at the gate")
    narrator.call("gate", f"POST /v1/scans ({host.name})", f"{scan['verdict']}")
    expect(scan["verdict"] == "admitted", f"the scan was {scan['verdict']}: {scan['detail']}")


async def _until_shown(
    cast: Cast, order: dict[str, Any], wanted: dict[str, int]
) -> dict[str, Any]:
    """The order, once its spots show so many of each status."""

    async def look() -> dict[str, Any] | None:
        found: dict[str, Any] = await cast.distributor.get(f"/v1/orders/{order['order_no']}")
        shown = [spot["shown"] for ticket in found["tickets"] for spot in ticket["spots"]]
        return found if {it: shown.count(it) for it in shown} == wanted else None

    return await until(look, f"{order['order_no']} does not come to show {wanted}")
