"""Who takes part in the bench, and what they sell: made through the public API, and reused."""

import asyncio
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from datetime import date, datetime, timedelta
from typing import Any, Final

import httpx

from shanmen.platform.api_client import ApiClient, ApiRefusal
from shanmen.platform.installation import Installation
from shanmen.platform.sample import (
    SHANGHAI,
    Sample,
    Trader,
    account_body,
    mint,
    open_account,
)

SPREAD: Final = 1000
VALID_DAYS: Final = 300
STOCK: Final = 10_000_000
LEAST_STOCK: Final = 2_000_000
UNIT_PRICE_FEN: Final = 200
SETTLE_FEN: Final = 150
OPENING_FEN: Final = 10**12
AT_ONCE: Final = 8

DAY_S: Final = 86_400


@dataclass(frozen=True)
class Cast:
    """Tokens and products of the bench. The tokens exist on this machine only.

    Tickets of `gate_product` owe the spot nothing: a scan of one is a scan, and not a payout.
    """

    spot_token: str
    gate_token: str
    distributor_token: str
    spread_products: list[str]
    hot_product: str
    gate_product: str
    valid_until: str


async def ensure_cast(
    installation: Installation, client: httpx.AsyncClient, sample: Sample
) -> Cast:
    """The cast as it was made before, while that still serves, or a new one."""
    note = f"bench-{installation.mode}"
    stored = installation.state.read_json(note)
    if isinstance(stored, dict) and set(stored) == {field.name for field in fields(Cast)}:
        cast = Cast(**stored)
        if await _still_serves(installation, client, cast):
            return cast
    cast = await _make_cast(installation, client, sample)
    installation.state.write_json(note, asdict(cast))
    return cast


async def _still_serves(installation: Installation, client: httpx.AsyncClient, cast: Cast) -> bool:
    if date.fromisoformat(cast.valid_until) <= _today() + timedelta(days=1):
        return False
    distributor = ApiClient(client, installation.url("edge"), cast.distributor_token)
    try:
        found = await distributor.get("/v1/availability", product_id=cast.hot_product)
    except ApiRefusal:  # other data than it was made in
        return False
    return bool(found["on_sale"]) and found["entries"][0]["available"] >= LEAST_STOCK


async def _make_cast(
    installation: Installation, client: httpx.AsyncClient, sample: Sample
) -> Cast:
    base_url = installation.url("edge")
    operator = ApiClient(client, base_url, sample.operator_token)
    serial = str(int(datetime.now(SHANGHAI).timestamp() * 10))[-10:]
    payer = Trader(
        f"208830{serial}", "压测旅行社", agreement_no=f"2036{serial}", opening_fen=OPENING_FEN
    )
    payee = Trader(f"208840{serial}", "压测景区")
    for trader in (payer, payee):
        await open_account(client, installation, trader)
    spot = await operator.post("/v1/spots", {"name": payee.name, "settlement_fee_bps": 60})
    distributor = await operator.post(
        "/v1/distributors", {"name": payer.name, "transaction_fee_bps": 30}
    )
    spot_id, distributor_id = str(spot["spot_id"]), str(distributor["distributor_id"])
    await operator.post("/v1/accounts", account_body(spot_id, "receive", payee))
    await operator.post("/v1/accounts", account_body(distributor_id, "pay", payer))
    spot_token = await mint(operator, "spot", spot_id, "bench spot")
    seller = ApiClient(client, base_url, spot_token)
    valid_until = (_today() + timedelta(days=VALID_DAYS)).isoformat()
    settle_fen = [SETTLE_FEN] * (SPREAD + 1) + [0]
    products = await _publish(
        seller, [_product(spot_id, settle, valid_until) for settle in settle_fen]
    )
    return Cast(
        spot_token=spot_token,
        gate_token=await mint(seller, "device", spot_id, "bench gate"),
        distributor_token=await mint(operator, "distributor", distributor_id, "bench"),
        spread_products=products[:SPREAD],
        hot_product=products[SPREAD],
        gate_product=products[SPREAD + 1],
        valid_until=valid_until,
    )


async def _publish(seller: ApiClient, bodies: Sequence[dict[str, Any]]) -> list[str]:
    """Publish products, a few at a time; their ids in the order given."""
    free = asyncio.Semaphore(AT_ONCE)

    async def publish(body: dict[str, Any]) -> str:
        async with free:
            return str((await seller.post("/v1/products", body))["product_id"])

    return await asyncio.gather(*(publish(body) for body in bodies))


def _product(spot_id: str, settle_fen: int, valid_until: str) -> dict[str, Any]:
    """A ticket for any day, so that the bench runs on any day with one entry of stock."""
    return {
        "name": "压测票",
        "unit_price_fen": UNIT_PRICE_FEN,
        "spots": [{"spot_id": spot_id, "settle_fen": settle_fen}],
        "visit_rule": "open",
        "valid_from": (_today() - timedelta(days=1)).isoformat(),
        "valid_until": valid_until,
        # Unpaid orders of one run should not be closed during the next.
        "payment_timeout_s": 7 * DAY_S,
        "stock": [{"total": STOCK}],
        "publish": True,
    }


def _today() -> date:
    return datetime.now(SHANGHAI).date()
