"""The channels that `--profile simulators` starts, and the gateway that is told of them."""

import json
import subprocess
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import pytest
from starlette.types import ASGIApp

from shanmen.common.clock import SystemClock
from shanmen.gateway_adapters.domain.operations import OperationKind, Outcome
from shanmen.gateway_adapters.providers.alipay.provider import AlipayProvider
from shanmen.gateway_adapters.providers.alipay.settings import AlipaySettings
from shanmen.gateway_adapters.providers.base import OWN_ACCOUNT, Counterparty, Instruction
from shanmen.gateway_adapters.providers.huijinbao.provider import HuijinbaoProvider
from shanmen.gateway_adapters.providers.huijinbao.settings import HuijinbaoSettings
from shanmen.simulators.alipay import app as alipay
from shanmen.simulators.huijinbao import app as huijinbao
from shanmen.simulators.settings import Settings
from shanmen.simulators.testing.servers import served

Container = Mapping[str, Any]
Told = dict[str, Any]
Provider = AlipayProvider | HuijinbaoProvider

CHANNELS: Final = ("alipay", "huijinbao")
SIMULATOR: Final[Mapping[str, Callable[[Settings], ASGIApp]]] = {
    "alipay": alipay.create_app,
    "huijinbao": huijinbao.create_app,
}
ADDRESS: Final = {
    "alipay": ("gateway_url", "http://alipay:8000/gateway.do"),
    "huijinbao": ("base_url", "http://huijinbao:8000"),
}


def told_gateway(containers: Mapping[str, Container], channel: str) -> Told:
    """What the gateway's containers know of a channel."""
    told: Told = json.loads(containers["gateway-adapters"]["environment"][channel.upper()])
    return told


def seed_of(containers: Mapping[str, Container], channel: str) -> dict[str, Any]:
    """What the simulated channel begins with."""
    environment = containers[f"{channel}-seed"]["environment"]
    seed: dict[str, Any] = json.loads(environment[f"{channel.upper()}_SIMULATOR_SEED"])
    return seed


def parties_of(
    containers: Mapping[str, Container], channel: str
) -> tuple[Counterparty, Counterparty]:
    """The accounts of the distributor, with its agreement, and of the spot."""
    seed = seed_of(containers, channel)
    _, distributor, spot = (
        Counterparty(account["account_no"], account["name"]) for account in seed["accounts"]
    )
    (agreement,) = seed["agreements"]
    assert agreement["account_no"] == distributor.account_no
    return replace(distributor, agreement_no=agreement["agreement_no"]), spot


def open_provider(channel: str, told: Told) -> Provider:
    """The gateway's side of a channel."""
    if channel == "alipay":
        return AlipayProvider(AlipaySettings.model_validate(told), SystemClock())
    return HuijinbaoProvider(HuijinbaoSettings.model_validate(told), SystemClock())


def plant(container: Container, folder: Path) -> None:
    """Run the seed container's command, with its folder moved to this one. Raises OSError."""
    command = [word.replace("/data/", f"{folder}/") for word in container["command"]]
    done = subprocess.run(
        command,
        check=False,
        capture_output=True,
        encoding="utf-8",
        env={**container["environment"], "PATH": "/usr/bin:/bin"},
    )
    if done.returncode:
        raise OSError(done.stderr)


@asynccontextmanager
async def started(
    containers: Mapping[str, Container], channel: str, folder: Path
) -> AsyncIterator[Provider]:
    """The simulator on what its seed container wrote; yields the gateway's side of it."""
    plant(containers[f"{channel}-seed"], folder)
    command = containers[channel]["command"]
    data, seed = (
        Path(command[command.index(option) + 1].replace("/data/", f"{folder}/"))
        for option in ("--data", "--seed-file")
    )
    async with served(SIMULATOR[channel](Settings(data_dir=data, seed_file=seed))) as url:
        told = told_gateway(containers, channel)
        name, address = ADDRESS[channel]
        told[name] = url + urlsplit(address).path
        # Nobody listens at the edge's name here.
        provider = open_provider(channel, told | {"notify_url": None})
        try:
            yield provider
        finally:
            await provider.aclose()


async def move(
    provider: Provider, kind: OperationKind, amount_fen: int, other: Counterparty
) -> None:
    """Ask for one movement of money, which must be done at once."""
    instruction = Instruction(f"{kind}1", kind, amount_fen, other, "联票", business_ref="prd_1")
    answer = await provider.send(instruction)
    assert (answer.outcome, answer.listed) == (Outcome.OK, True), answer


@pytest.mark.parametrize("channel", CHANNELS)
def test_the_gateway_finds_the_channel_and_the_channel_the_edge(
    channel: str, containers: Mapping[str, Container]
) -> None:
    told, (name, address) = told_gateway(containers, channel), ADDRESS[channel]
    assert told[name] == address
    command = containers[channel]["command"]
    port = command[command.index("--port") + 1]
    assert urlsplit(address).netloc == f"{channel}:{port}"
    assert told["notify_url"] == f"http://edge:8080/notify/{channel}"
    assert told["notify_url"] in json.dumps(seed_of(containers, channel))
    for needed in (f"{channel}-seed", channel):
        assert containers[needed]["profiles"] == ["simulators"]


@pytest.mark.parametrize("channel", CHANNELS)
async def test_signed_money_moves_from_the_distributor_over_the_platform_to_the_spot(
    channel: str, containers: Mapping[str, Container], tmp_path: Path
) -> None:
    """So each side believes the other's key, and the accounts and agreement are there."""
    payer, payee = parties_of(containers, channel)
    async with started(containers, channel, tmp_path) as provider:
        await move(provider, OperationKind.DEBIT, 10_000, payer)
        await move(provider, OperationKind.PAYOUT, 7_000, payee)
        assert (await provider.balance()).available_fen == 3_000


async def test_what_was_paid_goes_into_huijinbaos_wealth_product_and_comes_back(
    containers: Mapping[str, Container], tmp_path: Path
) -> None:
    payer, _ = parties_of(containers, "huijinbao")
    async with started(containers, "huijinbao", tmp_path) as provider:
        await move(provider, OperationKind.DEBIT, 10_000, payer)
        await move(provider, OperationKind.SUBSCRIBE, 10_000, OWN_ACCOUNT)
        assert (await provider.balance()).available_fen == 0
        await move(provider, OperationKind.REDEEM, 4_000, OWN_ACCOUNT)
        assert (await provider.balance()).available_fen == 4_000


@pytest.mark.parametrize("channel", CHANNELS)
def test_a_channel_without_its_key_does_not_start_and_is_told_why(
    channel: str, containers: Mapping[str, Container], tmp_path: Path
) -> None:
    container = containers[f"{channel}-seed"]
    environment = container["environment"] | {f"{channel.upper()}_SIMULATOR_KEY": ""}
    with pytest.raises(OSError, match=r"make \.env with --simulators"):
        plant({**container, "environment": environment}, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("channel", CHANNELS)
def test_the_key_is_for_the_channels_own_eyes(
    channel: str, containers: Mapping[str, Container], tmp_path: Path
) -> None:
    plant(containers[f"{channel}-seed"], tmp_path)
    kept = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(kept) == 2
    assert {path.stat().st_mode & 0o077 for path in kept} == {0}
