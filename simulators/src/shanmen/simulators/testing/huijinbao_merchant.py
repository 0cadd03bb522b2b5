"""A merchant of Huijinbao, for tests that talk to its simulator."""

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import httpx

from shanmen.simulators.huijinbao.signing import canonical, signed_text
from shanmen.simulators.moments import china_rfc3339
from shanmen.simulators.signing import SigningKey, verify

MERCHANT_ID: Final = "M100000001"
PLATFORM: Final = "6200000000000001"
DISTRIBUTOR: Final = "6200000000000002"
SPOT: Final = "6200000000000003"
AGREEMENT: Final = "7000000000000001"
PRODUCT: Final = "HJB-MMF-1"
FUND: Final = f"FUND-{PRODUCT}"
BIZ_NO: Final = "B1"


def seed(public_key_pem: str, notify_url: str | None = None) -> dict[str, Any]:
    """A platform, a distributor with an agreement, a spot, a product: 1000.00 yuan in all."""
    merchant = {"merchant_id": MERCHANT_ID, "account_no": PLATFORM, "notify_url": notify_url}
    return {
        "accounts": [
            {"account_no": PLATFORM, "name": "票务平台", "balance_fen": 20_000},
            {"account_no": DISTRIBUTOR, "name": "经销商甲", "balance_fen": 80_000},
            {"account_no": SPOT, "name": "景区乙"},
        ],
        "agreements": [{"agreement_no": AGREEMENT, "account_no": DISTRIBUTOR}],
        "merchants": [{**merchant, "keys": {"k1": public_key_pem}}],
        "products": [{"product_code": PRODUCT, "name": "汇金宝货币", "yield_10k": "0.5432"}],
    }


@dataclass
class HuijinbaoMerchant:
    """Calls the interface as the merchant, and the admin API as a person would."""

    http: httpx.AsyncClient
    key: SigningKey
    channel_keys: Mapping[str, str]
    key_id: str = "k1"

    def envelope(self, method: str, data: Mapping[str, Any], **head: str) -> dict[str, Any]:
        """One call's envelope, signed; `head` replaces fields of it."""
        now_ms = round(datetime.now(UTC).timestamp() * 1000)
        fields = {
            "version": "2.0",
            "merchant_id": MERCHANT_ID,
            "sign_type": "RSA2",
            "key_id": self.key_id,
            "timestamp": china_rfc3339(now_ms),
            "nonce": str(uuid.uuid4()),
        } | head
        text = signed_text(
            merchant_id=fields["merchant_id"],
            timestamp=fields["timestamp"],
            nonce=fields["nonce"],
            method=method,
            data=canonical(data),
        )
        return {**fields, "data": dict(data), "sign": self.key.sign(text)}

    async def raw(self, method: str, data: Mapping[str, Any], **head: str) -> httpx.Response:
        """One call, its answer as it came."""
        return await self.post_envelope(method, self.envelope(method, data, **head))

    async def post_envelope(self, method: str, envelope: Mapping[str, Any]) -> httpx.Response:
        """Send an envelope as it is."""
        return await self.http.post(f"/hjb/v2/{method}", json=dict(envelope))

    async def call(self, method: str, data: Mapping[str, Any], **head: str) -> dict[str, Any]:
        """One call, its answer's data. Raises ValueError when the signature does not fit."""
        response = await self.raw(method, {"req_seq_id": uuid.uuid4().hex, **data}, **head)
        return self.verified(response.content, method)

    def verified(self, body: bytes, method: str) -> dict[str, Any]:
        """The data of an answer or a notification (`method` is then its event).

        Raises ValueError when the signature does not fit.
        """
        front, _, rest = body.partition(b',"data":')
        data, _, tail = rest.rpartition(b',"sign":"')
        head = json.loads(front + b"}")
        text = signed_text(
            merchant_id=head["merchant_id"],
            timestamp=head["timestamp"],
            nonce=head["nonce"],
            method=method,
            data=data,
        )
        key = self.channel_keys.get(head["key_id"], "")
        if not key or not verify(text, tail.removesuffix(b'"}').decode(), key):
            raise ValueError(f"not a verified message of {method}: {body!r}")
        parsed: dict[str, Any] = json.loads(data)
        return parsed

    async def pay(self, number: str, amount_fen: int = 1_000, **changed: Any) -> dict[str, Any]:
        """Debit the distributor."""
        return await self.call("pay", payment(number, amount_fen, **changed))

    async def transfer(self, number: str, amount_fen: int = 500, **changed: Any) -> dict[str, Any]:
        """Pay the spot."""
        return await self.call("transfer", payout(number, amount_fen, **changed))

    async def refund(self, number: str, original: str, amount_fen: int) -> dict[str, Any]:
        """Give a part of a debit back."""
        return await self.call("refund", giving_back(number, original, amount_fen))

    async def query(self, number: str) -> dict[str, Any]:
        """What became of a number."""
        return await self.call("order.query", {"org_req_seq_id": number})

    async def cancel(self, number: str) -> dict[str, Any]:
        """Forbid a number to succeed."""
        return await self.call("order.cancel", {"org_req_seq_id": number})

    async def subscribe(
        self, number: str, amount_fen: int, biz_no: str = BIZ_NO
    ) -> dict[str, Any]:
        """Invest."""
        return await self.call("wealth.subscribe", investment(number, amount_fen, biz_no))

    async def redeem(
        self, number: str, amount_fen: int, mode: str = "FAST", biz_no: str = BIZ_NO
    ) -> dict[str, Any]:
        """Take principal back."""
        data = {**investment(number, amount_fen, biz_no), "mode": mode}
        return await self.call("wealth.redeem", data)

    async def liquidate(self, number: str, biz_no: str = BIZ_NO) -> dict[str, Any]:
        """End a position."""
        return await self.call("wealth.liquidate", ending(number, biz_no))

    async def position(self, biz_no: str = BIZ_NO) -> dict[str, Any]:
        """What a position holds."""
        named = {"cst_no": PLATFORM, "product_code": PRODUCT, "biz_no": biz_no}
        return await self.call("wealth.position.query", named)

    async def advance(self, days: int = 0, **parts: int) -> str:
        """Move the channel's day; which day it is then."""
        advance_s = days * 86_400 + parts.get("seconds", 0)
        moved = await self.post("/clock", {"advance_s": advance_s})
        return str(moved["china_date"])

    async def get(self, path: str) -> Any:
        """Read from the admin API."""
        response = await self.http.get(f"/admin{path}")
        return response.raise_for_status().json()

    async def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """Post to the admin API."""
        response = await self.http.post(f"/admin{path}", json=dict(body))
        return response.raise_for_status().json()

    async def balance_fen(self, account_no: str) -> int:
        """What an account holds."""
        account = await self.get(f"/accounts/{account_no}")
        balance_fen: int = account["balance_fen"]
        return balance_fen


def payment(number: str, amount_fen: int = 1_000, **changed: Any) -> dict[str, Any]:
    """The data of a debit under the distributor's agreement."""
    return {
        "req_seq_id": number,
        "agreement_no": AGREEMENT,
        "pay_cst_no": DISTRIBUTOR,
        "rcv_cst_no": PLATFORM,
        "trx_amount": amount_fen,
        "biz_no": "ORDER-1",
        **changed,
    }


def payout(number: str, amount_fen: int = 500, **changed: Any) -> dict[str, Any]:
    """The data of a payout to the spot."""
    return {
        "req_seq_id": number,
        "pay_cst_no": PLATFORM,
        "rcv_cst_no": SPOT,
        "trx_amount": amount_fen,
        "biz_no": "VISIT-1",
        "purpose": "门票结算",
        **changed,
    }


def giving_back(number: str, original: str, amount_fen: int, **changed: Any) -> dict[str, Any]:
    """The data of a refund."""
    return {
        "req_seq_id": number,
        "org_req_seq_id": original,
        "trx_amount": amount_fen,
        "reason": "未游玩",
        **changed,
    }


def investment(number: str, amount_fen: int, biz_no: str = BIZ_NO) -> dict[str, Any]:
    """The data of a subscription."""
    return {**ending(number, biz_no), "trx_amount": amount_fen}


def ending(number: str, biz_no: str = BIZ_NO) -> dict[str, Any]:
    """The data of a liquidation."""
    return {
        "req_seq_id": number,
        "cst_no": PLATFORM,
        "product_code": PRODUCT,
        "biz_no": biz_no,
    }
