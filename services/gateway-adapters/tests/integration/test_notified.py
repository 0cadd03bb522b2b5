"""Notifications that the simulator posts to the service on a real port: hints, and no more."""

from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import Response

from shanmen.common.app import create_app
from shanmen.common.ids import new_id
from shanmen.common.testing.clients import running_of
from shanmen.common.testing.events import eventually
from shanmen.gateway_adapters.domain.operations import Action, OperationStatus
from shanmen.gateway_adapters.main import SERVICE
from shanmen.gateway_adapters.tables import NOTIFICATIONS
from shanmen.gateway_adapters.testing import Desk
from shanmen.simulators.alipay.signing import SigningKey, notification_content
from shanmen.simulators.testing.merchant import Merchant
from shanmen.simulators.testing.servers import free_port, served

SLOW = {"query_delays_s": (3600,)}
"""Without a notification, nobody would ask for an hour."""


@dataclass(frozen=True)
class Notified:
    """A gateway that the simulator can reach; `posted` are the bodies that came."""

    desk: Desk
    http: httpx.AsyncClient
    posted: list[bytes]

    async def kept(self) -> list[tuple[bool, str, str | None]]:
        """Every notification as it was judged: believed, verdict, number."""
        rows = await self.desk.rows(NOTIFICATIONS)
        return [(row.believed, row.verdict, row.number) for row in rows]


@pytest.fixture
async def notified(alipay_desk: Callable[..., Desk]) -> AsyncIterator[Notified]:
    port, posted = free_port(), list[bytes]()
    url = f"http://127.0.0.1:{port}"
    desk = alipay_desk(notify_url=f"{url}/notify/alipay", **SLOW)
    app = create_app(SERVICE, running_of(SERVICE, desk.ctx, service_token="the gateway's own"))

    @app.middleware("http")
    async def remember(request: Request, call_next: Any) -> Response:
        posted.append(await request.body())
        answered: Response = await call_next(request)
        return answered

    async with (
        served(app, port),
        httpx.AsyncClient(base_url=url, trust_env=False, timeout=30) as http,
    ):
        yield Notified(desk, http, posted)


async def sent(simulator: Merchant, number: str) -> list[dict[str, Any]]:
    """What the simulator knows of its notifications about a number."""
    found = (await simulator.get("/notifications"))["notifications"]
    return [item for item in found if item["number"] == number]


async def delivered(simulator: Merchant, number: str, times: int = 1) -> bool:
    (item,) = await sent(simulator, number)
    return (item["status"], item["attempts"]) == ("delivered", times)


@pytest.mark.parametrize("notification_fault", [None, {"kind": "notify_late", "delay_ms": 500}])
async def test_a_notification_brings_the_query_forward(
    simulator: Merchant, notified: Notified, notification_fault: dict[str, Any] | None
) -> None:
    """While the call is still under way, and after its time-out."""
    desk, number = notified.desk, new_id("deb")
    await simulator.post("/faults", {"kind": "timeout_after", "number": number, "times": 1})
    if notification_fault is not None:
        await simulator.post("/faults", {**notification_fault, "number": number})
    await desk.debit(number, amount_fen=23)

    async def succeeded() -> bool:
        row = await desk.operation(number)
        return OperationStatus(row.status) is OperationStatus.SUCCEEDED

    async with desk.operating():
        await eventually(succeeded, within_s=20)
    assert [attempt.action for attempt in await desk.attempts(number)] == ["send", "query"]
    await eventually(lambda: delivered(simulator, number), within_s=20)
    assert await notified.kept() == [(True, "hint", number)]


async def test_eight_copies_are_one_hint(simulator: Merchant, notified: Notified) -> None:
    desk, number = notified.desk, new_id("deb")
    await simulator.post("/faults", {"kind": "notify_duplicate", "number": number, "copies": 7})
    await desk.debit(number, amount_fen=23)
    await desk.work()
    concluded = await desk.operation(number)
    await eventually(lambda: delivered(simulator, number, 8), within_s=20)
    assert await notified.kept() == [(True, "hint", number)]
    assert await desk.operation(number) == concluded
    assert [name for name, _ in await desk.told()] == ["operation_succeeded"]


async def test_a_forged_one_is_refused_and_the_honest_one_believed(
    simulator: Merchant, notified: Notified
) -> None:
    desk, number = notified.desk, new_id("deb")
    await simulator.post("/faults", {"kind": "notify_forged", "number": number, "delay_ms": 50})
    await desk.debit(number, amount_fen=23)
    await desk.work()

    async def both_came() -> bool:
        statuses = Counter(item["status"] for item in await sent(simulator, number))
        return statuses == {"forged": 1, "delivered": 1}

    await eventually(both_came, within_s=20)
    kept = await notified.kept()  # in the order in which they came, which nobody can promise
    assert sorted(kept, key=str) == [(False, "bad_signature", None), (True, "hint", number)]


async def test_without_any_notification_asking_is_enough(
    simulator: Merchant, alipay_desk: Callable[..., Desk]
) -> None:
    desk, number = alipay_desk(notify_url="http://127.0.0.1:9/notify/alipay"), new_id("deb")
    await simulator.post("/faults", {"kind": "notify_missing", "number": number})
    await simulator.post("/faults", {"kind": "timeout_after", "number": number, "times": 1})
    await desk.debit(number, amount_fen=23)

    async def succeeded() -> bool:
        row = await desk.operation(number)
        return OperationStatus(row.status) is OperationStatus.SUCCEEDED

    async with desk.operating():
        await eventually(succeeded, within_s=20)
    assert [item["status"] for item in await sent(simulator, number)] == ["suppressed"]


async def test_an_altered_or_forged_notification_changes_nothing(
    simulator: Merchant, notified: Notified, alipay_folder: Path
) -> None:
    desk, number, victim = notified.desk, new_id("deb"), new_id("deb")
    await desk.debit(number, amount_fen=23)
    await desk.work()
    await eventually(lambda: delivered(simulator, number), within_s=20)
    await simulator.post("/faults", {"kind": "timeout_before", "number": victim})
    await desk.debit(victim, amount_fen=23)
    await desk.work()
    before = await desk.operation(victim)

    honest = dict(parse_qsl(notified.posted[0].decode(), keep_blank_values=True))
    channel_key = SigningKey.load_or_create(alipay_folder / "alipay_key.pem")
    own_key = SigningKey.load_or_create(alipay_folder / "merchant_key.pem")

    def form(key: SigningKey | None = None, **changes: str) -> dict[str, str]:
        changed = {**honest, **changes}
        if key is not None:
            changed["sign"] = key.sign(notification_content(changed))
        return changed

    attacks = {
        "altered number": (form(out_trade_no=victim), "bad_signature"),
        "altered amount": (form(total_amount="0.24"), "bad_signature"),
        "altered status": (form(trade_status="TRADE_CLOSED"), "bad_signature"),
        "no signature": (form(sign=""), "bad_signature"),
        "our own key": (form(own_key, out_trade_no=victim), "bad_signature"),
        "another app": (form(channel_key, out_trade_no=victim, app_id="1"), "foreign_app"),
        "no order of ours": (form(channel_key, out_trade_no="deb_unheard"), "unknown_number"),
        "other money": (form(channel_key, out_trade_no=victim, total_amount="23"), "other_amount"),
    }
    for name, (body, code) in attacks.items():
        answered = await notified.http.post("/notify/alipay", data=body)
        problem = answered.json()
        assert (answered.status_code, problem["code"]) == (400, "notification_rejected"), name
        assert code in problem["detail"], name
    assert await desk.operation(victim) == before
    judged = [(believed, verdict) for believed, verdict, _ in await notified.kept()]
    assert judged == [(True, "hint"), *((False, code) for _, code in attacks.values())]
    # The very bytes of an old one again: acknowledged, and nothing comes of it.
    replayed = await notified.http.post("/notify/alipay", content=notified.posted[0])
    assert (replayed.status_code, replayed.content) == (200, b"success")
    assert len(await notified.kept()) == 1 + len(attacks)
    assert [attempt.action for attempt in await desk.attempts(victim)] == [Action.SEND]
