"""Print `.env` for docker-compose.yml: env.example with every secret made, anew at each call.

    python deploy/make_env.py [--simulators] > .env

`--simulators` also sets both channels and text messages up on the simulators: each channel with a
platform account, a distributor that has agreed to be debited and a spot that is paid, Huijinbao
with a wealth product too; else they stay empty, to be filled in.
"""

import argparse
import base64
import hashlib
import json
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

EXAMPLE: Final = Path(__file__).parent / "env.example"
SERVICES: Final = ("catalog", "orders", "settlement", "verification", "gateway-adapters")
TICKET_KEY_ID: Final = "k1"

APP_ID: Final = "2021000000000001"
PLATFORM_ACCOUNT: Final = "2088000000000001"
DISTRIBUTOR_ACCOUNT: Final = "2088000000000002"
SPOT_ACCOUNT: Final = "2088000000000003"
AGREEMENT: Final = "20260000000000000001"

HUIJINBAO_MERCHANT: Final = "M100000001"
HUIJINBAO_KEY_ID: Final = "k1"
"""Of the merchant's key; the simulator, too, calls its first key so."""
HUIJINBAO_PLATFORM_ACCOUNT: Final = "6200000000000001"
HUIJINBAO_DISTRIBUTOR_ACCOUNT: Final = "6200000000000002"
HUIJINBAO_SPOT_ACCOUNT: Final = "6200000000000003"
HUIJINBAO_AGREEMENT: Final = "7000000000000001"
WEALTH_PRODUCT: Final = "HJB-TTL-01"
DAILY_YIELD_PER_10K: Final = "0.5432"
"""Yuan a day on 10 000 yuan (万份收益)."""


def main() -> None:
    """Read the command line and print the file."""
    parser = argparse.ArgumentParser(description="Print .env with every secret made.")
    parser.add_argument(
        "--simulators", action="store_true", help="set the channels up on simulators"
    )
    values = make_secrets()
    if parser.parse_args().simulators:
        values |= make_simulated_alipay() | make_simulated_huijinbao()
        values |= make_simulated_sms(values["SHANMEN_SMS_SECRET"])
    sys.stdout.write(fill_in(EXAMPLE.read_text("utf-8"), values))


def make_secrets() -> dict[str, str]:
    """Passwords, tokens and the ticket key, by variable."""
    tokens = {name: f"shs_{secrets.token_urlsafe(32)}" for name in SERVICES if name != "catalog"}
    ticket_key = ed25519.Ed25519PrivateKey.generate()
    ticket_public_key = ticket_key.public_key().public_bytes_raw()
    return {
        "POSTGRES_PASSWORD": secrets.token_hex(32),
        **{f"{_prefix(name)}_DATABASE_PASSWORD": secrets.token_hex(32) for name in SERVICES},
        **{f"{_prefix(name)}_BROKER_PASSWORD": secrets.token_hex(32) for name in SERVICES},
        **{f"{_prefix(name)}_SERVICE_TOKEN": token for name, token in tokens.items()},
        "SERVICE_TOKEN_HASHES": json.dumps(
            {name: hashlib.sha256(token.encode()).hexdigest() for name, token in tokens.items()}
        ),
        "TICKET_KEY_ID": TICKET_KEY_ID,
        "TICKET_SIGNING_KEY": base64.b64encode(ticket_key.private_bytes_raw()).decode(),
        "TICKET_PUBLIC_KEYS": json.dumps(
            {TICKET_KEY_ID: base64.b64encode(ticket_public_key).decode()}
        ),
        "SHANMEN_SIMULATOR_ADMIN_TOKEN": secrets.token_urlsafe(32),
        "SHANMEN_SMS_SECRET": secrets.token_urlsafe(32),
    }


def make_simulated_alipay() -> dict[str, str]:
    """Both sides of an Alipay that is simulated: our settings, and the simulator's own."""
    ours, theirs = _make_key(), _make_key()
    settings = {
        "gateway_url": "http://alipay:8000/gateway.do",
        "app_id": APP_ID,
        "app_private_key": _private_pem(ours),
        "alipay_public_key": _public_pem(theirs),
        "platform_user_id": PLATFORM_ACCOUNT,
        "notify_url": "http://edge:8080/notify/alipay",
    }
    seed = {
        "accounts": [
            {"account_no": PLATFORM_ACCOUNT, "name": "平台", "balance_fen": 0},
            {"account_no": DISTRIBUTOR_ACCOUNT, "name": "分销商", "balance_fen": 100_000_00},
            {"account_no": SPOT_ACCOUNT, "name": "景区", "balance_fen": 0},
        ],
        "agreements": [{"agreement_no": AGREEMENT, "account_no": DISTRIBUTOR_ACCOUNT}],
        "apps": [
            {
                "app_id": APP_ID,
                "account_no": PLATFORM_ACCOUNT,
                "public_key_pem": _public_pem(ours),
                "gateway_notify_url": settings["notify_url"],
            }
        ],
    }
    return {
        "ALIPAY": json.dumps(settings),
        "ALIPAY_SIMULATOR_KEY": base64.b64encode(_private_pem(theirs).encode()).decode(),
        "ALIPAY_SIMULATOR_SEED": json.dumps(seed, ensure_ascii=False),
    }


def make_simulated_huijinbao() -> dict[str, str]:
    """Both sides of a Huijinbao that is simulated: our settings, and the simulator's own."""
    ours, theirs = _make_key(), _make_key()
    settings = {
        "base_url": "http://huijinbao:8000",
        "merchant_id": HUIJINBAO_MERCHANT,
        "key_id": HUIJINBAO_KEY_ID,
        "private_key": _private_pem(ours),
        "channel_public_keys": {HUIJINBAO_KEY_ID: _public_pem(theirs)},
        "platform_cst_no": HUIJINBAO_PLATFORM_ACCOUNT,
        "notify_url": "http://edge:8080/notify/huijinbao",
        "wealth_product_code": WEALTH_PRODUCT,
    }
    distributor = {"account_no": HUIJINBAO_DISTRIBUTOR_ACCOUNT, "name": "分销商"}
    seed = {
        "accounts": [
            {"account_no": HUIJINBAO_PLATFORM_ACCOUNT, "name": "平台"},
            {**distributor, "balance_fen": 100_000_00},
            {"account_no": HUIJINBAO_SPOT_ACCOUNT, "name": "景区"},
        ],
        "agreements": [
            {"agreement_no": HUIJINBAO_AGREEMENT, "account_no": HUIJINBAO_DISTRIBUTOR_ACCOUNT}
        ],
        "merchants": [
            {
                "merchant_id": HUIJINBAO_MERCHANT,
                "account_no": HUIJINBAO_PLATFORM_ACCOUNT,
                "keys": {HUIJINBAO_KEY_ID: _public_pem(ours)},
                "notify_url": settings["notify_url"],
            }
        ],
        "products": [
            {
                "product_code": WEALTH_PRODUCT,
                "name": "汇金宝天天利",
                "yield_10k": DAILY_YIELD_PER_10K,
            }
        ],
    }
    return {
        "HUIJINBAO": json.dumps(settings),
        "HUIJINBAO_SIMULATOR_KEY": base64.b64encode(_private_pem(theirs).encode()).decode(),
        "HUIJINBAO_SIMULATOR_SEED": json.dumps(seed, ensure_ascii=False),
    }


def make_simulated_sms(secret: str) -> dict[str, str]:
    """Text messages go to the simulator, whoever they are for."""
    settings = {"url": "http://sms:8000/sms/send", "secret": secret}
    return {"SMS": json.dumps(settings), "OPERATIONS_PHONE": "13800000000"}


def fill_in(example: str, values: Mapping[str, str]) -> str:
    """The example with these values in their lines. Single quotes: taken as they stand."""
    lines = []
    for line in example.splitlines():
        name = line.partition("=")[0]
        lines.append(f"{name}='{values[name]}'" if name in values else line)
    return "\n".join(lines) + "\n"


def _prefix(service: str) -> str:
    return service.upper().replace("-", "_")


def _make_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def _private_pem(key: rsa.RSAPrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


def _public_pem(key: rsa.RSAPrivateKey) -> str:
    return (
        key.public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode()
    )


if __name__ == "__main__":
    main()
