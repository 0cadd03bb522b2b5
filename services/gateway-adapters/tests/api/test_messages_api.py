"""What operators see of text messages, and that nobody else does."""

import httpx
import pytest

from shanmen.common.auth import Principal
from shanmen.common.testing.principals import FakeIntrospector, principal
from shanmen.contracts.gateway import SmsRequested
from shanmen.gateway_adapters.testing import Desk
from shanmen.gateway_adapters.usecases.messaging import send_due_messages

PAYMENT = {"order_no": "ord_1", "amount_yuan": "12.30", "deadline": "2026-11-01 18:00"}


async def ask_for(desk: Desk, *sms_ids: str, template: str = "payment_short") -> None:
    params = {**PAYMENT, "subject": "pay_1", "channel": "alipay"}
    for sms_id in sms_ids:
        await desk.request(
            SmsRequested(sms_id=sms_id, recipient="dst_1", template=template, params=params)
        )


async def test_a_message_is_shown_as_it_is(operator: httpx.AsyncClient, desk: Desk) -> None:
    await ask_for(desk, "sms_1")
    await send_due_messages(desk.ctx)
    answered = await operator.get("/v1/messages")
    assert answered.status_code == 200
    (shown,) = answered.json()["items"]
    assert shown.pop("requested_at") <= shown.pop("next_at")
    assert shown == {
        "sms_id": "sms_1",
        "recipient": "dst_1",
        "template": "payment_short",
        "params": PAYMENT,
        "status": "failed",
        "attempts": 1,
        "error": "unknown_recipient",
        "provider_ref": None,
        "sent_at": None,
    }


async def test_messages_are_filtered(operator: httpx.AsyncClient, desk: Desk) -> None:
    await ask_for(desk, "sms_1")
    await send_due_messages(desk.ctx)
    await ask_for(desk, "sms_2")
    await ask_for(desk, "sms_3", template="payout_short")

    async def listed(**filters: str) -> list[str]:
        page = (await operator.get("/v1/messages", params=filters)).json()
        return [item["sms_id"] for item in page["items"]]

    assert await listed() == ["sms_3", "sms_2", "sms_1"]
    assert await listed(status="failed") == ["sms_1"]
    assert await listed(template="payment_short") == ["sms_2", "sms_1"]
    assert await listed(status="open", template="payment_short") == ["sms_2"]
    assert (await operator.get("/v1/messages", params={"status": "lost"})).status_code == 422


async def test_messages_are_listed_in_pages(operator: httpx.AsyncClient, desk: Desk) -> None:
    await ask_for(desk, "sms_1", "sms_2", "sms_3")
    first = (await operator.get("/v1/messages", params={"limit": 2})).json()
    rest = {"limit": 2, "cursor": first["next_cursor"]}
    second = (await operator.get("/v1/messages", params=rest)).json()
    assert [item["sms_id"] for item in first["items"]] == ["sms_3", "sms_2"]
    assert [item["sms_id"] for item in second["items"]] == ["sms_1"]
    assert second["next_cursor"] is None


@pytest.mark.parametrize(
    "caller",
    [
        principal("operator", scopes=["orders:read"]),
        principal("distributor", "dst_1", scopes=["operations:read"]),
    ],
)
async def test_messages_are_for_operators(
    client: httpx.AsyncClient, tokens: FakeIntrospector, caller: Principal
) -> None:
    assert (await client.get("/v1/messages")).status_code == 401
    headers = {"Authorization": f"Bearer {tokens.issue(caller)}"}
    assert (await client.get("/v1/messages", headers=headers)).status_code == 403
