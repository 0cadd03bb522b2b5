"""A merchant with an app of its own, for tests that talk to the Alipay simulator."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import httpx

from shanmen.simulators.alipay.signing import SigningKey, request_content, verify

PLATFORM: Final = "2088000000000001"
DISTRIBUTOR: Final = "2088000000000002"
SPOT: Final = "2088000000000003"
AGREEMENT: Final = "20265101000000000001"
APP_ID: Final = "2026112200000001"


def seed(public_key_pem: str, gateway_notify_url: str | None = None) -> dict[str, Any]:
    """A platform, a distributor with an agreement, and a spot: 1000.00 yuan in all."""
    app = {"app_id": APP_ID, "account_no": PLATFORM, "public_key_pem": public_key_pem}
    return {
        "accounts": [
            {
                "account_no": PLATFORM,
                "logon_id": "platform@example.com",
                "name": "票务平台",
                "balance_fen": 20_000,
            },
            {
                "account_no": DISTRIBUTOR,
                "logon_id": "distributor@example.com",
                "name": "经销商甲",
                "balance_fen": 80_000,
            },
            {"account_no": SPOT, "logon_id": "spot@example.com", "name": "景区乙"},
        ],
        "agreements": [{"agreement_no": AGREEMENT, "account_no": DISTRIBUTOR}],
        "apps": [{**app, "gateway_notify_url": gateway_notify_url}],
    }


@dataclass(frozen=True)
class Merchant:
    """Calls the gateway as the app `APP_ID`, and the admin API as a person would."""

    http: httpx.AsyncClient
    key: SigningKey
    alipay_public_key: str

    def signed(self, method: str, content: Mapping[str, Any], **common: str) -> dict[str, str]:
        """All parameters of one call, signed."""
        parameters = {
            "app_id": APP_ID,
            "method": method,
            "charset": "utf-8",
            "sign_type": "RSA2",
            "timestamp": "2026-11-22 12:00:00",
            "version": "1.0",
            "biz_content": json.dumps(dict(content), ensure_ascii=False),
            **common,
        }
        return self.sign(parameters)

    def sign(self, parameters: Mapping[str, str]) -> dict[str, str]:
        """The parameters with a `sign` that fits them."""
        signature = self.key.sign(request_content(parameters, "utf-8"))
        return {**parameters, "sign": signature}

    async def raw(self, method: str, content: Mapping[str, Any], **common: str) -> httpx.Response:
        """One call, its answer as it came."""
        return await self.http.post("/gateway.do", data=self.signed(method, content, **common))

    async def call(self, method: str, content: Mapping[str, Any], **common: str) -> dict[str, Any]:
        """One call, its answer's node. Raises ValueError when the signature does not fit."""
        response = await self.raw(method, content, **common)
        return self.verified(response.content, method)

    def verified(self, body: bytes, method: str) -> dict[str, Any]:
        """The node of an answer. Raises ValueError when the signature does not fit."""
        head = b'{"' + method.replace(".", "_").encode() + b'_response":'
        node, _, tail = body.rpartition(b',"sign":"')
        signature = tail.removesuffix(b'"}').decode()
        if not body.startswith(head) or not verify(
            node.removeprefix(head), signature, self.alipay_public_key
        ):
            raise ValueError(f"not a verified answer to {method}: {body!r}")
        parsed: dict[str, Any] = json.loads(node.removeprefix(head))
        return parsed

    async def pay(self, number: str, amount: str = "10.00", **common: str) -> dict[str, Any]:
        """Debit the distributor."""
        return await self.call("alipay.trade.pay", payment(number, amount), **common)

    async def refund(self, number: str, request_no: str, amount: str) -> dict[str, Any]:
        """Give a part of a trade back."""
        content = {
            "out_trade_no": number,
            "out_request_no": request_no,
            "refund_amount": amount,
        }
        return await self.call("alipay.trade.refund", content)

    async def transfer(self, number: str, amount: str = "5.00") -> dict[str, Any]:
        """Pay the spot."""
        return await self.call("alipay.fund.trans.uni.transfer", payout(number, amount))

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


def payment(number: str, amount: str = "10.00", **changed: Any) -> dict[str, Any]:
    """The content of a debit under the distributor's agreement."""
    return {
        "out_trade_no": number,
        "total_amount": amount,
        "subject": "山门 门票",
        "product_code": "GENERAL_WITHHOLDING",
        "agreement_params": {"agreement_no": AGREEMENT},
        **changed,
    }


def payout(number: str, amount: str = "5.00", **changed: Any) -> dict[str, Any]:
    """The content of a payout to the spot."""
    return {
        "out_biz_no": number,
        "trans_amount": amount,
        "product_code": "TRANS_ACCOUNT_NO_PWD",
        "biz_scene": "DIRECT_TRANSFER",
        "payee_info": {
            "identity": "spot@example.com",
            "identity_type": "ALIPAY_LOGON_ID",
            "name": "景区乙",
        },
        "order_title": "门票结算",
        **changed,
    }
