"""What the demo came to, read back from the public API and from the channels' own books."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from shanmen.platform.api_client import ApiClient
from shanmen.platform.checks.view import PLATFORM_ACCOUNTS
from shanmen.platform.demo.flow import Cast
from shanmen.platform.demo.narrator import Narrator
from shanmen.platform.installation import Installation

LEDGER_PAGE: Final = 200


@dataclass(frozen=True)
class _Books:
    """Where a channel's admin tells of a number, and how it calls money that has moved."""

    debits: str
    payouts: str
    moved: frozenset[str]


_BOOKS: Final[Mapping[str, _Books]] = {
    "alipay": _Books("trades", "transfers", frozenset({"TRADE_SUCCESS", "SUCCESS"})),
    "huijinbao": _Books("orders", "orders", frozenset({"S"})),
}


@dataclass(frozen=True)
class Evidence:
    """The facts, and in how many ways they disagree."""

    orders: list[dict[str, Any]]
    ledger: dict[str, Any]
    channels: dict[str, dict[str, int]]
    disagreements: list[str]
    wealth: dict[str, int] = field(default_factory=dict)
    reports: list[dict[str, Any]] = field(default_factory=list)
    reconciliation: dict[str, int] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether nothing disagrees."""
        return not self.disagreements and not self.reconciliation.get("breaks")

    def as_json(self, seconds: float) -> dict[str, Any]:
        """The result as `make demo JSON=file` writes it."""
        return {
            "ok": self.ok,
            "orders": self.orders,
            "ledger": self.ledger,
            "channels": self.channels,
            "wealth": self.wealth,
            "reports": self.reports,
            "reconciliation": self.reconciliation,
            "seconds": round(seconds, 3),
            "disagreements": self.disagreements,
        }


async def gather_evidence(
    installation: Installation, client: httpx.AsyncClient, cast: Cast, order_nos: list[str]
) -> Evidence:
    """Read everything back, and compare both sides."""
    channels = _Channels(installation, client)
    orders = [await _order(channels, cast, order_no) for order_no in order_nos]
    ledger = await _ledger(cast.operator)
    both = {
        name: {
            "ours_fen": ledger["accounts"].get(f"cash:{name}", 0),
            "theirs_fen": await channels.balance(name, account_no),
        }
        for name, account_no in PLATFORM_ACCOUNTS.items()
    }
    found = [*_disagreements(orders, ledger, both)]
    return Evidence([order["shown"] for order in orders], ledger, both, found)


async def show_evidence(cast: Cast, evidence: Evidence, order_no: str, narrator: Narrator) -> None:
    """The timeline of an order, the ledger, and both sides' balances."""
    timeline = await cast.distributor.get(f"/v1/orders/{order_no}/timeline")
    narrator.table(
        f"Timeline of {order_no}",
        ["at", "what", "change", "cause"],
        [
            [e["at"][5:16], e["kind"], f"{e['before'] or '–'} → {e['after']}", e["cause"]]
            for e in timeline["entries"]
        ],
    )
    narrator.table(
        "Ledger",
        ["account", "balance_fen"],
        [[account, f"{fen:,}"] for account, fen in evidence.ledger["accounts"].items() if fen],
    )
    narrator.table(
        "The platform's accounts",
        ["channel", "our ledger, fen", "the channel's books, fen"],
        [
            [name, f"{both['ours_fen']:,}", f"{both['theirs_fen']:,}"]
            for name, both in evidence.channels.items()
        ],
    )


def wealth_of(position: Mapping[str, Any]) -> dict[str, int]:
    """What became of the money that was invested for a product."""
    return {
        "invested_fen": position["invested_fen"],
        "redeemed_fen": position["redeemed_fen"],
        "outstanding_fen": position["outstanding_fen"],
        "yield_fen": position["realised_fen"],
    }


class _Channels:
    """The admin APIs of the simulated channels."""

    def __init__(self, installation: Installation, client: httpx.AsyncClient) -> None:
        self._installation = installation
        self._client = client

    async def balance(self, channel: str, account_no: str) -> int:
        """What an account holds."""
        answer = await self._get(channel, f"accounts/{account_no}")
        return int(answer.raise_for_status().json()["balance_fen"])

    async def debited_fen(self, operation_id: str | None) -> int:
        """What the channels' books say was taken under a debit's number."""
        return await self._moved_fen(operation_id, lambda books: books.debits)

    async def paid_fen(self, payout_id: str | None) -> int:
        """What the channels' books say was paid under a payout's number."""
        return await self._moved_fen(payout_id, lambda books: books.payouts)

    async def _moved_fen(self, number: str | None, path: Callable[[_Books], str]) -> int:
        if number is None:
            return 0
        moved = 0
        for channel, books in _BOOKS.items():
            answer = await self._get(channel, f"{path(books)}/{number}")
            found = answer.json() if answer.is_success else {}
            moved += int(found["amount_fen"]) if found.get("status") in books.moved else 0
        return moved

    async def _get(self, channel: str, path: str) -> httpx.Response:
        return await self._client.get(f"{self._installation.url(channel)}/admin/{path}")


async def _order(channels: _Channels, cast: Cast, order_no: str) -> dict[str, Any]:
    """One order, what was debited for it, and what was paid for each visit of it."""
    order = await cast.distributor.get(f"/v1/orders/{order_no}")
    lines = (await cast.operator.get("/v1/settlements", order_no=order_no))["items"]
    visited = [line for line in lines if line["used_at"]]
    paid = {line["entitlement_id"]: await channels.paid_fen(line["payout_id"]) for line in visited}
    return {
        "debited_fen": await channels.debited_fen(order["payment"]["operation_id"]),
        "owed_fen": order["amount_fen"] if order["status"] != "closed_unpaid" else 0,
        "payable": {line["entitlement_id"]: line["payable_fen"] for line in visited},
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


async def _ledger(operator: ApiClient) -> dict[str, Any]:
    accounts: dict[str, int] = {}
    page = await operator.get("/v1/ledger/accounts", limit=LEDGER_PAGE)
    while True:
        accounts |= {entry["account"]: entry["balance_fen"] for entry in page["accounts"]}
        if page["next_cursor"] is None:
            return {"balanced": page["balanced"], "accounts": accounts}
        page = await operator.get(
            "/v1/ledger/accounts", limit=LEDGER_PAGE, cursor=page["next_cursor"]
        )


def _disagreements(
    orders: list[dict[str, Any]], ledger: dict[str, Any], channels: dict[str, dict[str, int]]
) -> list[str]:
    found = []
    if not ledger["balanced"]:
        found.append("the ledger does not balance")
    for name, both in channels.items():
        if both["ours_fen"] != both["theirs_fen"]:
            found.append(f"our books say {both['ours_fen']} fen, {name}'s {both['theirs_fen']}")
    for order in orders:
        number = order["shown"]["order_no"]
        if order["debited_fen"] != order["owed_fen"]:
            found.append(f"{number}: owed {order['owed_fen']}, debited {order['debited_fen']}")
        if order["paid"] != order["payable"]:
            found.append(f"{number}: payable {order['payable']}, paid {order['paid']}")
    return found
