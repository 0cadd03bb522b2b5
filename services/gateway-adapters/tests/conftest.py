"""A gateway on a database of its own: around a channel that says what the test tells it to, or
around a simulator over HTTP."""

import base64
import json
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from shanmen.common.app import create_app
from shanmen.common.clock import SystemClock
from shanmen.common.testing.clients import running_of
from shanmen.common.testing.fixtures import OpenDatabase
from shanmen.common.testing.principals import FakeIntrospector, principal
from shanmen.gateway_adapters.domain.operations import Channel
from shanmen.gateway_adapters.main import SERVICE
from shanmen.gateway_adapters.providers.alipay.provider import AlipayProvider
from shanmen.gateway_adapters.providers.alipay.settings import AlipaySettings
from shanmen.gateway_adapters.providers.base import Counterparty
from shanmen.gateway_adapters.providers.huijinbao.provider import HuijinbaoProvider
from shanmen.gateway_adapters.providers.huijinbao.settings import HuijinbaoSettings
from shanmen.gateway_adapters.testing import (
    Desk,
    KnownAccounts,
    ScriptedChannel,
    open_desk,
)
from shanmen.simulators.alipay.app import create_app as create_simulator
from shanmen.simulators.huijinbao.app import create_app as create_huijinbao
from shanmen.simulators.settings import Settings
from shanmen.simulators.signing import SigningKey
from shanmen.simulators.testing import huijinbao_merchant
from shanmen.simulators.testing.huijinbao_merchant import HuijinbaoMerchant
from shanmen.simulators.testing.merchant import (
    AGREEMENT,
    APP_ID,
    DISTRIBUTOR,
    PLATFORM,
    Merchant,
    seed,
)
from shanmen.simulators.testing.servers import served

SealAs = Callable[..., bytes]
"""`seal(method, data, nonce=…, **marks)`: an envelope as Huijinbao would sign it."""

OpenHuijinbao = Callable[..., HuijinbaoProvider]

QUICK = {
    "query_delays_s": (0.02, 0.04, 0.08),
    "absent_grace_s": 0.15,
    "throttle_delays_s": (0.02, 0.04),
    "attempt_lease_s": 10.0,
    "circuit_probe_s": 0.02,
}
"""Delays of milliseconds, in the order of production's."""


@pytest.fixture
def channel() -> ScriptedChannel:
    """The channel that the gateway calls Alipay."""
    return ScriptedChannel()


@pytest.fixture
def accounts() -> KnownAccounts:
    """The accounts that the gateway knows."""
    return KnownAccounts(
        {
            "acc_payer": Counterparty(DISTRIBUTOR, "经销商甲", AGREEMENT),
            "acc_receiver": Counterparty("spot@example.com", "景区乙"),
            "acc_misnamed": Counterparty("spot@example.com", "景区丙"),
        }
    )


@pytest.fixture
async def desk(
    open_database: OpenDatabase,
    tokens: FakeIntrospector,
    channel: ScriptedChannel,
    accounts: KnownAccounts,
) -> Desk:
    """The gateway, with the delays of production, around `channel`."""
    return open_desk(await open_database(SERVICE), tokens, {Channel.ALIPAY: channel}, accounts)


@pytest.fixture(scope="session")
def alipay_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The simulator's folder, with its key, and the merchant's key beside it."""
    folder = tmp_path_factory.mktemp("alipay")
    merchant_key = SigningKey.load_or_create(folder / "merchant_key.pem")
    seed_text = json.dumps(seed(merchant_key.public_pem()))
    (folder / "seed.json").write_text(seed_text, "utf-8")
    return folder


@pytest.fixture(scope="session")
async def simulator(alipay_folder: Path) -> AsyncIterator[Merchant]:
    """The Alipay simulator over HTTP, and its admin API; one for all tests, so that a test takes
    numbers of its own."""
    settings = Settings(
        data_dir=alipay_folder, seed_file=alipay_folder / "seed.json", notify_scale=1e-6
    )
    async with (
        served(create_simulator(settings)) as url,
        httpx.AsyncClient(base_url=url, trust_env=False, timeout=30) as http,
    ):
        key = SigningKey.load_or_create(alipay_folder / "merchant_key.pem")
        yield Merchant(http, key, (await http.get("/admin/public-key")).text)


@pytest.fixture
def alipay_values(simulator: Merchant, alipay_folder: Path) -> dict[str, Any]:
    """The settings of the Alipay channel, as they would be written down."""
    return {
        "gateway_url": str(simulator.http.base_url.join("/gateway.do")),
        "app_id": APP_ID,
        "platform_user_id": PLATFORM,
        "app_private_key": (alipay_folder / "merchant_key.pem").read_text("ascii"),
        "alipay_public_key": simulator.alipay_public_key,
        "read_timeout_s": 0.3,
    }


@pytest.fixture
async def alipay_desk(
    open_database: OpenDatabase,
    tokens: FakeIntrospector,
    accounts: KnownAccounts,
    alipay_values: dict[str, Any],
    simulator: Merchant,
) -> AsyncIterator[Callable[..., Desk]]:
    """`alipay_desk(notify_url=…, **settings)`: a gateway with quick delays around the simulator.

    What was ordered of the simulator in the test is called off at its end.
    """
    database = await open_database(SERVICE)
    opened: list[AlipayProvider] = []

    def open_around(notify_url: str | None = None, **settings: Any) -> Desk:
        values = {**alipay_values, "notify_url": notify_url}
        opened.append(AlipayProvider(AlipaySettings.model_validate(values), SystemClock()))
        providers = {Channel.ALIPAY: opened[-1]}
        return open_desk(database, tokens, providers, accounts, **{**QUICK, **settings})

    yield open_around
    for provider in opened:
        await provider.aclose()
    (await simulator.http.delete("/admin/faults")).raise_for_status()


@pytest.fixture(scope="session")
def huijinbao_keys() -> Mapping[str, rsa.RSAPrivateKey]:
    """Our key, and Huijinbao's old and new one."""
    names = ("ours", "h1", "h2")
    return {name: rsa.generate_private_key(public_exponent=65537, key_size=2048) for name in names}


@pytest.fixture
def huijinbao_values(huijinbao_keys: Mapping[str, rsa.RSAPrivateKey]) -> dict[str, Any]:
    """The settings of the Huijinbao channel, as they would be written down."""
    ours = huijinbao_keys["ours"].private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    theirs = {
        name: huijinbao_keys[name]
        .public_key()
        .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        .decode()
        for name in ("h1", "h2")
    }
    return {
        "base_url": "http://huijinbao.example",
        "merchant_id": "M100000001",
        "key_id": "k1",
        "private_key": ours.decode(),
        "channel_public_keys": theirs,
        "platform_cst_no": "6200000000000001",
        "notify_url": "https://shanmen.example/notify/huijinbao",
        "wealth_product_code": "HJB7D",
        "read_timeout_s": 0.3,
        "connect_timeout_s": 1,
    }


@pytest.fixture(scope="session")
def huijinbao_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The simulator's folder, with the merchant's key in it."""
    folder = tmp_path_factory.mktemp("huijinbao")
    key = SigningKey.load_or_create(folder / "merchant_key.pem")
    seed = huijinbao_merchant.seed(key.public_pem())
    (folder / "seed.json").write_text(json.dumps(seed), "utf-8")
    return folder


@pytest.fixture(scope="session")
async def huijinbao_simulator(huijinbao_folder: Path) -> AsyncIterator[HuijinbaoMerchant]:
    """The simulator and its admin API; one for all tests, so that a test takes numbers and
    products of its own."""
    settings = Settings(
        data_dir=huijinbao_folder, seed_file=huijinbao_folder / "seed.json", notify_scale=1e-6
    )
    async with (
        served(create_huijinbao(settings)) as url,
        httpx.AsyncClient(base_url=url, trust_env=False, timeout=30) as http,
    ):
        key = SigningKey.load_or_create(huijinbao_folder / "merchant_key.pem")
        keys = (await http.get("/admin/public-keys")).json()["keys"]
        yield HuijinbaoMerchant(http, key, keys)


@pytest.fixture
async def open_huijinbao(
    huijinbao_simulator: HuijinbaoMerchant, huijinbao_folder: Path
) -> AsyncIterator[OpenHuijinbao]:
    """`open_huijinbao(notify_url=…, **values)`: a provider of the simulator.

    What was ordered of the simulator in the test is called off at its end.
    """
    opened: list[HuijinbaoProvider] = []

    def open_one(**changes: Any) -> HuijinbaoProvider:
        values = {
            "base_url": str(huijinbao_simulator.http.base_url),
            "merchant_id": huijinbao_merchant.MERCHANT_ID,
            "key_id": "k1",
            "private_key": (huijinbao_folder / "merchant_key.pem").read_text("ascii"),
            "channel_public_keys": huijinbao_simulator.channel_keys,
            "platform_cst_no": huijinbao_merchant.PLATFORM,
            "wealth_product_code": huijinbao_merchant.PRODUCT,
            "read_timeout_s": 0.3,
            **changes,
        }
        opened.append(HuijinbaoProvider(HuijinbaoSettings.model_validate(values), SystemClock()))
        return opened[-1]

    yield open_one
    for provider in opened:
        await provider.aclose()
    (await huijinbao_simulator.http.delete("/admin/faults")).raise_for_status()


@pytest.fixture
async def huijinbao_desk(
    open_database: OpenDatabase, tokens: FakeIntrospector, open_huijinbao: OpenHuijinbao
) -> Callable[..., Desk]:
    """`huijinbao_desk(notify_url=…, **settings)`: a gateway with quick delays around the
    simulator."""
    database = await open_database(SERVICE)
    payer, receiver = huijinbao_merchant.DISTRIBUTOR, huijinbao_merchant.SPOT
    accounts = KnownAccounts(
        {
            "acc_payer": Counterparty(payer, "经销商甲", huijinbao_merchant.AGREEMENT),
            "acc_receiver": Counterparty(receiver, "景区乙"),
        }
    )

    def open_around(notify_url: str | None = None, **settings: Any) -> Desk:
        providers = {Channel.HUIJINBAO: open_huijinbao(notify_url=notify_url)}
        return open_desk(database, tokens, providers, accounts, **{**QUICK, **settings})

    return open_around


@pytest.fixture(scope="session")
def seal(huijinbao_keys: Mapping[str, rsa.RSAPrivateKey]) -> SealAs:
    """Envelopes signed by Huijinbao, by another reading of the interface than the provider's."""

    def sealed(method: str, data: str | Mapping[str, object], **changes: str) -> bytes:
        signing_key = huijinbao_keys[changes.pop("signed_by", "h1")]
        marks = {
            "version": "2.0",
            "merchant_id": "M100000001",
            "sign_type": "RSA2",
            "key_id": "h1",
            "timestamp": "2026-11-21T04:30:00+08:00",
            "nonce": "n1",
            **changes,
        }
        body = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
        lines = (marks["merchant_id"], marks["timestamp"], marks["nonce"], method, body)
        signature = signing_key.sign(
            "\n".join(lines).encode(), padding.PKCS1v15(), hashes.SHA256()
        )
        marks["sign"] = base64.b64encode(signature).decode()
        named = ",".join(f"{json.dumps(k)}:{json.dumps(v)}" for k, v in marks.items())
        return f'{{"data":{body},{named}}}'.encode()

    return sealed


@pytest.fixture
async def client(desk: Desk) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the HTTP face of `desk`, without a token."""
    app = create_app(SERVICE, running_of(SERVICE, desk.ctx, service_token="the gateway's own"))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as http:
        yield http


@pytest.fixture
def operator(client: httpx.AsyncClient, tokens: FakeIntrospector) -> httpx.AsyncClient:
    """The same client, with an operator's token."""
    token = tokens.issue(principal("operator", scopes=["operations:read"]))
    client.headers["Authorization"] = f"Bearer {token}"
    return client
