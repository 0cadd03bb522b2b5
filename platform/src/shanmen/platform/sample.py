"""Sample data: one spot, one distributor, one product, made through the public API once."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

import httpx

from shanmen.catalog.bootstrap import mint_operator_token
from shanmen.common.clock import Clock
from shanmen.platform.api_client import ApiClient
from shanmen.platform.installation import Installation

SHANGHAI: Final = ZoneInfo("Asia/Shanghai")
CALENDAR_DAYS: Final = 60
STOCK_PER_DAY: Final = 500


@dataclass(frozen=True)
class Sample:
    """Ids and tokens of the sample parties. The tokens exist on this machine only."""

    operator_token: str
    spot_id: str
    spot_token: str
    gate_token: str
    distributor_id: str
    distributor_token: str
    product_id: str


@dataclass(frozen=True)
class Trader:
    """An account at a simulated channel that a party uses."""

    account_no: str
    name: str
    agreement_no: str | None = None
    opening_fen: int = 0
    channel: str = "alipay"


DISTRIBUTOR_ACCOUNT: Final = Trader(
    "2088000000000101", "黄山旅行社", agreement_no="20266000000101", opening_fen=100_000_000
)
SPOT_ACCOUNT: Final = Trader("2088000000000201", "黄山风景区")


async def ensure_sample(installation: Installation, client: httpx.AsyncClient) -> Sample:
    """The sample as it was made before, or a new one; its calendar always reaches ahead."""
    note = f"sample-{installation.mode}"
    stored = installation.state.read_json(note)
    if isinstance(stored, dict) and set(stored) == {field.name for field in fields(Sample)}:
        sample = Sample(**stored)
    else:
        sample = await _make_sample(installation, client)
        installation.state.write_json(note, asdict(sample))
    spot = ApiClient(client, installation.url("edge"), sample.spot_token)
    await spot.put(
        f"/v1/products/{sample.product_id}/stock", {"entries": calendar(installation.clock())}
    )
    return sample


async def _make_sample(installation: Installation, client: httpx.AsyncClient) -> Sample:
    base_url = installation.url("edge")
    token = await mint_operator_token(installation.database_url("catalog"), "sample operator")
    operator = ApiClient(client, base_url, token)
    await open_account(client, installation, DISTRIBUTOR_ACCOUNT)
    await open_account(client, installation, SPOT_ACCOUNT)
    spot = await operator.post("/v1/spots", {"name": SPOT_ACCOUNT.name, "settlement_fee_bps": 60})
    distributor = await operator.post(
        "/v1/distributors", {"name": DISTRIBUTOR_ACCOUNT.name, "transaction_fee_bps": 30}
    )
    await operator.post("/v1/accounts", account_body(spot["spot_id"], "receive", SPOT_ACCOUNT))
    await operator.post(
        "/v1/accounts", account_body(distributor["distributor_id"], "pay", DISTRIBUTOR_ACCOUNT)
    )
    spot_token = await mint(operator, "spot", spot["spot_id"], "sample spot")
    spot_client = ApiClient(client, base_url, spot_token)
    product = await spot_client.post(
        "/v1/products",
        {
            "name": "黄山风景区成人票",
            "unit_price_fen": 19_000,
            "spots": [{"spot_id": spot["spot_id"], "settle_fen": 18_000}],
            "stock": calendar(installation.clock()),
            "publish": True,
        },
    )
    return Sample(
        operator_token=token,
        spot_id=spot["spot_id"],
        spot_token=spot_token,
        gate_token=await mint(spot_client, "device", spot["spot_id"], "east gate"),
        distributor_id=distributor["distributor_id"],
        distributor_token=await mint(
            operator, "distributor", distributor["distributor_id"], "sample distributor"
        ),
        product_id=product["product_id"],
    )


async def mint(issuer: ApiClient, kind: str, party_id: str, label: str) -> str:
    """Mint a token for a party."""
    credential = await issuer.post(
        "/v1/credentials", {"kind": kind, "party_id": party_id, "label": label}
    )
    return str(credential["token"])


async def open_account(
    client: httpx.AsyncClient, installation: Installation, trader: Trader
) -> None:
    """Open an account, with its withholding agreement, at its simulated channel."""
    admin = f"{installation.url(trader.channel)}/admin"
    bodies: list[tuple[str, Mapping[str, Any]]] = [
        (
            "accounts",
            {
                "account_no": trader.account_no,
                "name": trader.name,
                "balance_fen": trader.opening_fen,
            },
        )
    ]
    if trader.agreement_no is not None:
        agreement = {"agreement_no": trader.agreement_no, "account_no": trader.account_no}
        bodies.append(("agreements", agreement))
    for path, body in bodies:
        (await client.post(f"{admin}/{path}", json=body)).raise_for_status()


def account_body(party_id: str, role: str, trader: Trader) -> dict[str, Any]:
    """The registration of a settlement account."""
    return {
        "party_id": party_id,
        "role": role,
        "channel": trader.channel,
        "account_no": trader.account_no,
        "account_name": trader.name,
        "agreement_no": trader.agreement_no,
    }


def calendar(clock: Clock, total: int = STOCK_PER_DAY) -> list[dict[str, Any]]:
    """Stock entries from today on, in the spot's own time zone."""
    today = clock.now().astimezone(SHANGHAI).date()
    return [
        {"visit_date": (today + timedelta(days=day)).isoformat(), "total": total}
        for day in range(CALENDAR_DAYS)
    ]
