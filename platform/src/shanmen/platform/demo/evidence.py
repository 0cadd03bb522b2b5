"""What the demo came to, read back from the public API and from Alipay's own books."""

from dataclasses import dataclass
from typing import Any

import httpx

from shanmen.platform.demo.flow import Cast
from shanmen.platform.demo.narrator import Narrator
from shanmen.platform.installation import ALIPAY_PLATFORM_ACCOUNT, Installation

LEDGER_PAGE = 200


@dataclass(frozen=True)
class Evidence:
    """The facts, and in how many ways they disagree."""

    orders: list[dict[str, Any]]
    ledger: dict[str, Any]
    alipay: dict[str, int]
    disagreements: list[str]

    def as_json(self, seconds: float) -> dict[str, Any]:
        """The result as `make demo JSON=file` writes it."""
        return {
            "ok": not self.disagreements,
            "orders": self.orders,
            "ledger": self.ledger,
            "channels": {"alipay": self.alipay},
            "seconds": round(seconds, 3),
            "disagreements": self.disagreements,
        }


async def gather_evidence(
    installation: Installation, client: httpx.AsyncClient, cast: Cast, order_nos: list[str]
) -> Evidence:
    """Read everything back, and compare both sides."""
    admin = f"{installation.url('alipay')}/admin"
    orders = [await _order(client, admin, cast, order_no) for order_no in order_nos]
    ledger = await _ledger(cast)
    theirs = await _balance(client, admin, ALIPAY_PLATFORM_ACCOUNT)
    alipay = {"ours_fen": ledger["accounts"].get("cash:alipay", 0), "theirs_fen": theirs}
    found = [*_disagreements(orders, ledger, alipay)]
    return Evidence([order["shown"] for order in orders], ledger, alipay, found)


async def show_evidence(cast: Cast, evidence: Evidence, order_no: str, narrator: Narrator) -> None:
    """The timeline of an order, the ledger, and both sides' balances."""
    timeline = await cast.distributor.get(f"/v1/orders/{order_no}/timeline")
    narrator.table(
        f"Timeline of {order_no}",
        ["at", "what", "change", "cause"],
        [
            [e["at"][11:23], e["kind"], f"{e['before'] or '–'} → {e['after']}", e["cause"]]
            for e in timeline["entries"]
        ],
    )
    narrator.table(
        "Ledger (all orders of this installation)",
        ["account", "balance_fen"],
        [[account, f"{fen:,}"] for account, fen in evidence.ledger["accounts"].items()],
    )
    narrator.table(
        "The platform's Alipay account",
        ["whose books", "balance_fen"],
        [
            ["ours (ledger)", f"{evidence.alipay['ours_fen']:,}"],
            ["theirs (Alipay)", f"{evidence.alipay['theirs_fen']:,}"],
        ],
    )


async def _order(
    client: httpx.AsyncClient, admin: str, cast: Cast, order_no: str
) -> dict[str, Any]:
    """One order, what Alipay debited for it, and what Alipay paid for each of its spots."""
    order = await cast.distributor.get(f"/v1/orders/{order_no}")
    lines = (await cast.spot.get("/v1/settlements", order_no=order_no))["items"]
    paid = {line["entitlement_id"]: await _paid(client, admin, line) for line in lines}
    return {
        "debited_fen": await _debited(client, admin, order),
        "owed_fen": order["amount_fen"] if order["status"] != "closed_unpaid" else 0,
        "payable": {line["entitlement_id"]: line["payable_fen"] for line in lines},
        "paid": paid,
        "shown": {
            "kind": order["kind"],
            "order_no": order_no,
            "status": order["status"],
            "refund_status": order["refund_status"],
            "spots": [
                {
                    "spot": spot["spot_name"],
                    "shown": spot["shown"],
                    "paid_fen": paid.get(spot["entitlement_id"], 0),
                }
                for ticket in order["tickets"]
                for spot in ticket["spots"]
            ],
        },
    }


async def _debited(client: httpx.AsyncClient, admin: str, order: dict[str, Any]) -> int:
    """What Alipay's books say was taken for the order's debit."""
    number = order["payment"]["operation_id"]
    if number is None:
        return 0
    answer = await client.get(f"{admin}/trades/{number}")
    trade = answer.json() if answer.is_success else {}
    return int(trade["amount_fen"]) if trade.get("status") == "TRADE_SUCCESS" else 0


async def _paid(client: httpx.AsyncClient, admin: str, line: dict[str, Any]) -> int:
    """What Alipay's books say was transferred for a payout that pays this visit alone."""
    if line["payout_id"] is None:
        return 0
    answer = await client.get(f"{admin}/transfers/{line['payout_id']}")
    transfer = answer.json() if answer.is_success else {}
    return int(transfer["amount_fen"]) if transfer.get("status") == "SUCCESS" else 0


async def _ledger(cast: Cast) -> dict[str, Any]:
    accounts: dict[str, int] = {}
    page = await cast.operator.get("/v1/ledger/accounts", limit=LEDGER_PAGE)
    while True:
        accounts |= {entry["account"]: entry["balance_fen"] for entry in page["accounts"]}
        if page["next_cursor"] is None:
            return {"balanced": page["balanced"], "accounts": accounts}
        page = await cast.operator.get(
            "/v1/ledger/accounts", limit=LEDGER_PAGE, cursor=page["next_cursor"]
        )


async def _balance(client: httpx.AsyncClient, admin: str, account_no: str) -> int:
    answer = await client.get(f"{admin}/accounts/{account_no}")
    return int(answer.raise_for_status().json()["balance_fen"])


def _disagreements(
    orders: list[dict[str, Any]], ledger: dict[str, Any], alipay: dict[str, int]
) -> list[str]:
    found = []
    if not ledger["balanced"]:
        found.append("the ledger does not balance")
    if alipay["ours_fen"] != alipay["theirs_fen"]:
        found.append(f"our books say {alipay['ours_fen']} fen, Alipay's {alipay['theirs_fen']}")
    for order in orders:
        number = order["shown"]["order_no"]
        if order["debited_fen"] != order["owed_fen"]:
            found.append(f"{number}: owed {order['owed_fen']}, debited {order['debited_fen']}")
        if order["paid"] != order["payable"]:
            found.append(f"{number}: payable {order['payable']}, paid {order['paid']}")
    return found
