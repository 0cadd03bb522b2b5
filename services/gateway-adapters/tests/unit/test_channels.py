"""Which channels a gateway has: those that its settings name."""

import json
from typing import Any

import pytest

from shanmen.gateway_adapters.context import open_providers
from shanmen.gateway_adapters.domain.operations import Channel
from shanmen.gateway_adapters.providers.alipay.provider import AlipayProvider
from shanmen.gateway_adapters.providers.huijinbao.provider import HuijinbaoProvider
from shanmen.gateway_adapters.settings import GatewaySettings


@pytest.fixture
def alipay_values(huijinbao_values: dict[str, Any]) -> dict[str, Any]:
    return {
        "app_id": "2021",
        "platform_user_id": "2088000000000001",
        "app_private_key": huijinbao_values["private_key"],
        "alipay_public_key": huijinbao_values["channel_public_keys"]["h1"],
    }


async def opened(monkeypatch: pytest.MonkeyPatch, **channels: dict[str, Any]) -> dict[str, object]:
    """The class behind each channel, by settings as they come: from the environment."""
    monkeypatch.setenv("DATABASE_URL", "postgresql://nowhere/gateway")
    monkeypatch.setenv("SERVICE_TOKEN", "the gateway's own")
    for name, values in channels.items():
        monkeypatch.setenv(name.upper(), json.dumps(values))
    providers = open_providers(GatewaySettings())
    for provider in providers.values():
        await provider.aclose()
    return {channel: type(provider) for channel, provider in providers.items()}


async def test_both_one_or_none(
    monkeypatch: pytest.MonkeyPatch,
    alipay_values: dict[str, Any],
    huijinbao_values: dict[str, Any],
) -> None:
    assert await opened(monkeypatch) == {}
    assert await opened(monkeypatch, huijinbao=huijinbao_values) == {
        Channel.HUIJINBAO: HuijinbaoProvider
    }
    assert await opened(monkeypatch, alipay=alipay_values) == {
        Channel.HUIJINBAO: HuijinbaoProvider,
        Channel.ALIPAY: AlipayProvider,
    }
