"""Scenarios with parties of their own, so that a fault ordered for one meets no other."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import httpx
from rich.console import Console

from shanmen.platform.api_client import ApiClient, ApiRefusal
from shanmen.platform.checks.view import PLATFORM_ACCOUNTS
from shanmen.platform.demo import flow
from shanmen.platform.demo.narrator import Narrator
from shanmen.platform.installation import ALIPAY_PLATFORM_ACCOUNT, Installation
from shanmen.platform.sample import Sample

PAY: Final = "alipay.trade.pay"
TRANSFER: Final = "alipay.fund.trans.uni.transfer"
REFUND: Final = "alipay.trade.refund"
PLATFORM: Final = ALIPAY_PLATFORM_ACCOUNT
PLATFORM_FUNDS: Final = 100_000
AT_ONCE: Final = 10

Order: TypeAlias = dict[str, Any]
_QUIET: Final = Narrator(Console(quiet=True))


@dataclass(frozen=True)
class Life:
    """One distributor and one spot with one product on sale, and what happens to them."""

    installation: Installation
    client: httpx.AsyncClient
    cast: flow.Cast
    product_id: str

    @property
    def payer(self) -> str:
        """The distributor's account at Alipay."""
        return self.cast.distributor_account

    @property
    def payee(self) -> str:
        """The spot's account at Alipay."""
        return self.cast.spot_account

    def as_principal(self, token: str) -> ApiClient:
        """The API as whoever holds this token."""
        return ApiClient(self.client, self.installation.url("edge"), token)

    async def alipay(self, verb: str, path: str, body: Any = None) -> Any:
        """Alipay's admin: its books and its faults."""
        return await self.channel("alipay", verb, path, body)

    async def channel(self, name: str, verb: str, path: str, body: Any = None) -> Any:
        """A simulated channel's admin: its books and its faults."""
        url = f"{self.installation.url(name)}/admin/{path}"
        answer = await self.client.request(verb, url, json=body)
        return answer.raise_for_status().json()

    async def fund(self, channel: str, amount_fen: int) -> None:
        """The owner puts money into the platform's account at a channel; it is recorded."""
        account_no = PLATFORM_ACCOUNTS[channel]
        body = {"amount_fen": amount_fen, "reference": f"{channel}-{self.payer}"}
        await self.channel(channel, "POST", f"accounts/{account_no}/top-up", body)
        recorded = {"channel": channel, "direction": "in", "note": "注资", **body}
        await self.cast.operator.post("/v1/top-ups", recorded)

    async def order_fault(self, kind: str, method: str, account_no: str, **more: Any) -> int:
        """A fault for calls of this method that this account takes part in; its id."""
        order = {"kind": kind, "method": method, "account_no": account_no, **more}
        return int((await self.alipay("POST", "faults", order))["fault_id"])

    async def call_off(self, fault_id: int) -> None:
        """End a fault."""
        await self.alipay("DELETE", f"faults/{fault_id}")

    async def publish(self, **more: Any) -> str:
        """Another product of the spot, on sale today."""
        product = await self.cast.spot.post(
            "/v1/products",
            {
                "name": "山门测试票",
                "unit_price_fen": flow.UNIT_PRICE_FEN,
                "spots": [{"spot_id": self.cast.spot_id, "settle_fen": flow.SETTLE_FEN}],
                "stock": [{"visit_date": flow.today(self.cast.clock), "total": 100}],
                "publish": True,
                **more,
            },
        )
        return str(product["product_id"])

    async def buy(self, product_id: str, quantity: int = 1, *, wait_s: int = 20) -> Order:
        """Order and pay; the order as it is when the wait is over."""
        body = {**flow.order_body(self.cast, product_id, quantity), "pay": True}
        order: Order = await self.cast.distributor.post("/v1/orders", body, wait_s=wait_s)
        return order

    async def order(self, order_no: str) -> Order:
        """The order as its distributor sees it now."""
        found: Order = await self.cast.distributor.get(f"/v1/orders/{order_no}")
        return found

    async def until(self, order: Order, what: str, is_there: Callable[[Order], bool]) -> Order:
        """The order, once it is as wanted. Raises AssertionError when it never is."""
        order_no = order["order_no"]

        async def look() -> Order | None:
            found = await self.order(order_no)
            return found if is_there(found) else None

        try:
            return await flow.until(look, what)
        except flow.DemoFailed:
            raise AssertionError(f"{what}; it is {await self.order(order_no)}") from None

    async def admit(self, ticket: Mapping[str, Any]) -> str:
        """One scan at the gate; `admitted`, or the code of the refusal."""
        scan = await self.cast.gate.post("/v1/scans", {"qr": ticket["qr"]})
        return str(scan["code"] or scan["verdict"])

    async def admit_soon(self, ticket: Mapping[str, Any]) -> None:
        """Admit a ticket that the gates may have to hear of first."""

        async def look() -> bool | None:
            code = await self.admit(ticket)
            assert code in ("admitted", "unknown_ticket"), code
            return code == "admitted" or None

        await flow.until(look, f"{ticket['ticket_no']} is not admitted")

    async def work_items(self, **filters: Any) -> list[dict[str, Any]]:
        """The open work items that fit."""
        page = await self.cast.operator.get("/v1/work-items", limit=200, **filters)
        found: list[dict[str, Any]] = page["items"]
        return found

    async def until_item(self, kind: str, **filters: Any) -> dict[str, Any]:
        """The open work item of this kind, once there is one."""

        async def look() -> dict[str, Any] | None:
            items = [item for item in await self.work_items(**filters) if item["kind"] == kind]
            return items[0] if items else None

        return await flow.until(look, f"no work item {kind} for {filters}")

    async def until_no_items(self, **filters: Any) -> None:
        """Wait until no work item is open."""

        async def look() -> bool | None:
            return not await self.work_items(**filters) or None

        await flow.until(look, f"work items of {filters} stay open")

    async def trade(self, order: Order) -> dict[str, Any]:
        """The trade of an order's debit in Alipay's books."""
        number = order["payment"]["operation_id"]
        found: dict[str, Any] = await self.alipay("GET", f"trades/{number}")
        return found

    async def balance(self, account_no: str) -> int:
        """What an account holds at Alipay."""
        return int((await self.alipay("GET", f"accounts/{account_no}"))["balance_fen"])


Script = Callable[[Life], Awaitable[None]]


async def live(
    installation: Installation,
    sample: Sample,
    script: Script,
    *,
    pays_by: str = "alipay",
    paid_by: str = "alipay",
) -> None:
    """Run one scenario with parties of its own, on these channels."""
    async with httpx.AsyncClient(trust_env=False, timeout=40) as client:
        cast = await flow.onboard(
            installation, client, sample, _QUIET, pays_by=pays_by, paid_by=paid_by
        )
        life = Life(installation, client, cast, await flow.publish(cast, _QUIET))
        await script(life)


async def live_together(
    installation: Installation, sample: Sample, scripts: Mapping[str, Script]
) -> dict[str, str]:
    """Run scenarios side by side; what went wrong, by scenario."""
    places = asyncio.Semaphore(AT_ONCE)
    failures: dict[str, str] = {}

    async def run(name: str, script: Script) -> None:
        async with places:
            try:
                await live(installation, sample, script)
            except Exception as error:  # noqa: BLE001 - one scenario's end is not the others'
                failures[name] = f"{type(error).__name__}: {error}"

    async with asyncio.TaskGroup() as group:
        for name, script in scripts.items():
            group.create_task(run(name, script))
    return failures


async def refusal_of(call: Awaitable[Any]) -> str | None:
    """The code that a call is refused with; None for one that is not."""
    try:
        await call
    except ApiRefusal as refusal:
        return refusal.code
    return None


def shown(order: Order) -> list[str]:
    """The spot statuses (景区状态) of an order, sorted."""
    return sorted(spot["shown"] for ticket in order["tickets"] for spot in ticket["spots"])
