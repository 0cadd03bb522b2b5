"""A running simulator with its seed, and a merchant that calls it."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import httpx
import pytest

from shanmen.simulators.alipay.app import create_app
from shanmen.simulators.alipay.settings import Settings
from shanmen.simulators.alipay.signing import SigningKey
from shanmen.simulators.huijinbao.app import create_app as create_huijinbao
from shanmen.simulators.testing import huijinbao_merchant
from shanmen.simulators.testing.huijinbao_merchant import HuijinbaoMerchant
from shanmen.simulators.testing.merchant import Merchant, seed
from shanmen.simulators.testing.receiver import EnvelopeReceiver, Receiver
from shanmen.simulators.testing.servers import Stage, served


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the merchant's key and the channels': made once, they are slow to make."""
    folder = tmp_path_factory.mktemp("keys")
    SigningKey.load_or_create(folder / "alipay_key.pem")
    SigningKey.load_or_create(folder / "huijinbao_key_k1.pem")
    SigningKey.load_or_create(folder / "merchant_key.pem")
    return folder


@pytest.fixture(scope="session")
def merchant_key(keys: Path) -> SigningKey:
    return SigningKey.load_or_create(keys / "merchant_key.pem")


@pytest.fixture(scope="session")
async def channel_stage() -> AsyncIterator[tuple[Stage, str]]:
    stage = Stage()
    async with served(stage) as url:
        yield stage, url


@pytest.fixture(scope="session")
async def http(channel_stage: tuple[Stage, str]) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=channel_stage[1], trust_env=False) as client:
        yield client


@pytest.fixture(scope="session")
async def merchant_stage() -> AsyncIterator[tuple[Stage, str]]:
    stage = Stage()
    async with served(stage) as url:
        yield stage, url


@pytest.fixture
async def receiver(merchant_stage: tuple[Stage, str]) -> AsyncIterator[Receiver]:
    receiver = Receiver()
    async with merchant_stage[0].showing(receiver.app):
        yield receiver


@pytest.fixture
def notify_url(merchant_stage: tuple[Stage, str]) -> str:
    return f"{merchant_stage[1]}/notify"


@pytest.fixture
def data_dir(tmp_path: Path, keys: Path) -> Path:
    folder = tmp_path / "alipay"
    folder.mkdir()
    (folder / "alipay_key.pem").write_bytes((keys / "alipay_key.pem").read_bytes())
    return folder


@pytest.fixture
def settings(
    data_dir: Path, tmp_path: Path, merchant_key: SigningKey, notify_url: str
) -> Settings:
    seed_file = tmp_path / "seed.json"
    seed_file.write_text(json.dumps(seed(merchant_key.public_pem(), notify_url)), "utf-8")
    return Settings(data_dir=data_dir, seed_file=seed_file, notify_scale=1e-6)


OpenChannel = Callable[[Settings], AbstractAsyncContextManager[Merchant]]


@pytest.fixture
def open_channel(
    merchant_key: SigningKey, channel_stage: tuple[Stage, str], http: httpx.AsyncClient
) -> OpenChannel:
    """Starts the channel for a while; a second time on the same folder is a restart."""

    @asynccontextmanager
    async def opened(settings: Settings) -> AsyncIterator[Merchant]:
        async with channel_stage[0].showing(create_app(settings)):
            public_key = (await http.get("/admin/public-key")).text
            yield Merchant(http, merchant_key, public_key)

    return opened


@pytest.fixture
async def merchant(settings: Settings, open_channel: OpenChannel) -> AsyncIterator[Merchant]:
    async with open_channel(settings) as merchant:
        yield merchant


@pytest.fixture
async def envelope_receiver(
    merchant_stage: tuple[Stage, str],
) -> AsyncIterator[EnvelopeReceiver]:
    receiver = EnvelopeReceiver()
    async with merchant_stage[0].showing(receiver.app):
        yield receiver


@pytest.fixture
def huijinbao_settings(
    tmp_path: Path, keys: Path, merchant_key: SigningKey, notify_url: str
) -> Settings:
    folder = tmp_path / "huijinbao"
    folder.mkdir()
    (folder / "huijinbao_key_k1.pem").write_bytes((keys / "huijinbao_key_k1.pem").read_bytes())
    seed_file = tmp_path / "huijinbao_seed.json"
    content = huijinbao_merchant.seed(merchant_key.public_pem(), notify_url)
    seed_file.write_text(json.dumps(content), "utf-8")
    return Settings(data_dir=folder, seed_file=seed_file, notify_scale=1e-6)


OpenHuijinbao = Callable[[Settings], AbstractAsyncContextManager[HuijinbaoMerchant]]


@pytest.fixture
def open_huijinbao(
    merchant_key: SigningKey, channel_stage: tuple[Stage, str], http: httpx.AsyncClient
) -> OpenHuijinbao:
    """Starts Huijinbao for a while; a second time on the same folder is a restart."""

    @asynccontextmanager
    async def opened(settings: Settings) -> AsyncIterator[HuijinbaoMerchant]:
        async with channel_stage[0].showing(create_huijinbao(settings)):
            told = (await http.get("/admin/public-keys")).json()
            yield HuijinbaoMerchant(http, merchant_key, told.get("keys", {}))

    return opened


@pytest.fixture
async def huijinbao(
    huijinbao_settings: Settings, open_huijinbao: OpenHuijinbao
) -> AsyncIterator[HuijinbaoMerchant]:
    async with open_huijinbao(huijinbao_settings) as merchant:
        yield merchant
