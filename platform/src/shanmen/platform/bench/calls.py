"""The calls of distributors, gates and spots that the load consists of.

Each gives what it is for, or in short why it was not to be had (the tally counts by that).
"""

import asyncio
import json
from time import perf_counter
from typing import Any, Final
from urllib.parse import urlencode

from shanmen.platform.bench.connection import Answer, Caller

ISSUED_WITHIN_S: Final = 25
KNOWN_WITHIN_S: Final = 20.0
_AGAIN_S: Final = 0.1
_PAGE: Final = 200

Ticket = dict[str, Any]


async def place(seller: Caller, order_no: str, product_id: str) -> str | None:
    """Place an order of one ticket (下单), unpaid."""
    answer = await seller.post("/v1/orders", _order(order_no, product_id, 1), key=order_no)
    return None if answer.status == 201 else problem_of(answer)


async def buy(seller: Caller, order_no: str, product_id: str, quantity: int) -> list[Ticket] | str:
    """Place, pay, and wait for the tickets (下单, 支付, 出票)."""
    body = _order(order_no, product_id, quantity, pay=True)
    answer = await seller.post("/v1/orders", body, key=order_no, wait_s=ISSUED_WITHIN_S)
    if answer.status not in (200, 201, 202):
        return problem_of(answer)
    order = json.loads(answer.body)
    if not order["tickets"]:
        return f"{order['status']} after {ISSUED_WITHIN_S} s"
    tickets: list[Ticket] = order["tickets"]
    return tickets


async def scan(gate: Caller, qr: str, key: str) -> str | None:
    """Scan a code (验票): None when it was admitted."""
    answer = await gate.post("/v1/scans", json.dumps({"qr": qr}), key=key)
    if answer.status != 201:
        return problem_of(answer)
    verdict = json.loads(answer.body)
    return None if verdict["verdict"] == "admitted" else str(verdict["code"])


async def scan_until_known(gate: Caller, qr: str, key: str) -> str | None:
    """Scan a ticket that was issued this moment: its gate may hear of it a little later."""
    deadline, attempt = perf_counter() + KNOWN_WITHIN_S, 0
    while True:
        refusal = await scan(gate, qr, f"{key}-{attempt}")
        if refusal != "unknown_ticket" or perf_counter() > deadline:
            return refusal
        attempt += 1
        await asyncio.sleep(_AGAIN_S)


async def is_known(gate: Caller, ticket_no: str) -> bool:
    """Wait until a gate knows the ticket; False when it does not in time."""
    deadline = perf_counter() + KNOWN_WITHIN_S
    while (await gate.get(f"/v1/passes/{ticket_no}")).status != 200:
        if perf_counter() > deadline:
            return False
        await asyncio.sleep(_AGAIN_S)
    return True


async def settled_since(spot: Caller, instant: str) -> list[str]:
    """The entitlements that were visited since an instant (RFC 3339) and are settled (已结算)."""
    found: list[str] = []
    query = {"status": "settled", "from": instant, "limit": str(_PAGE)}
    while True:
        answer = await spot.get(f"/v1/settlements?{urlencode(query)}")
        if answer.status != 200:
            raise RuntimeError(f"settlements cannot be listed: {problem_of(answer)}")
        page = json.loads(answer.body)
        found += [item["entitlement_id"] for item in page["items"]]
        if page["next_cursor"] is None:
            return found
        query["cursor"] = page["next_cursor"]


def problem_of(answer: Answer) -> str:
    """A refusal in short: its status and code."""
    try:
        code = json.loads(answer.body).get("code")
    except (ValueError, AttributeError):
        code = None
    return f"{answer.status} {code}" if code else str(answer.status)


def _order(order_no: str, product_id: str, quantity: int, *, pay: bool = False) -> str:
    # By hand: for the load, rendering JSON would be a good part of what a request costs.
    return (
        f'{{"distributor_order_no":"{order_no}","product_id":"{product_id}",'
        f'"quantity":{quantity},"pay":{"true" if pay else "false"}}}'
    )
