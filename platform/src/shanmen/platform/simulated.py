"""The simulated outside world, as child processes with books of their own."""

import asyncio
import sys
from collections.abc import Mapping
from typing import Final

import httpx

from shanmen.platform.installation import (
    ALIPAY_APP_ID,
    ALIPAY_PLATFORM_ACCOUNT,
    HUIJINBAO_KEY_ID,
    HUIJINBAO_MERCHANT,
    HUIJINBAO_PLATFORM_ACCOUNT,
    HUIJINBAO_WEALTH_PRODUCT,
    PORT_VARIABLES,
    ChannelKeys,
    Installation,
)
from shanmen.platform.localclock import keep_time
from shanmen.platform.servers.errors import ServerFailed
from shanmen.platform.servers.ports import require_free_port
from shanmen.platform.servers.process import ManagedProcess

SIMULATORS: Final = ("alipay", "huijinbao", "sms")
YIELD_10K: Final = "0.6150"
"""万份收益: what 10 000 yuan earn a day, in yuan: about 2.2 % a year."""
_READY_TIMEOUT_S: Final = 20.0


class SimulatedWorld:
    """Starts and stops the simulators; their data outlives both, and any crash of ours."""

    def __init__(self, installation: Installation, client: httpx.AsyncClient) -> None:
        self._installation = installation
        self._client = client
        self._folder = f"simulators-{installation.mode}"
        folder = installation.state.directory(self._folder)
        self._processes = {name: ManagedProcess(folder, name) for name in SIMULATORS}

    async def start(self) -> ChannelKeys:
        """Start the simulators; returns the keys that their answers are verified with.

        One that runs already is left alone. Raises PortTaken, ServerFailed.
        """
        for name, process in self._processes.items():
            if process.pid is None:
                require_free_port(self._installation.ports[name], PORT_VARIABLES[name])
                self._launch(name, process)
        for name in self._processes:
            await self._until_ready(name)
        urls = {name: self._installation.url(name) for name in SIMULATORS}
        await keep_time(self._installation.state, urls, self._client)
        await self._introduce_to_alipay()
        await self._introduce_to_huijinbao()
        alipay = await self._client.get(self._admin("alipay", "public-key"))
        huijinbao = await self._client.get(self._admin("huijinbao", "public-keys"))
        return ChannelKeys(
            alipay.raise_for_status().text, huijinbao.raise_for_status().json()["keys"]
        )

    async def stop(self) -> None:
        """Stop the simulators."""
        for process in self._processes.values():
            await asyncio.to_thread(process.stop)

    def _admin(self, simulator: str, path: str) -> str:
        return f"{self._installation.url(simulator)}/admin/{path}"

    def _launch(self, name: str, process: ManagedProcess) -> None:
        state, port = self._installation.state, self._installation.ports[name]
        data = state.directory(self._folder, f"{name}-data")
        process.start(
            [
                *(sys.executable, "-m", f"shanmen.simulators.{name}"),
                *("--port", str(port), "--data", str(data)),
            ],
            environment={"SHANMEN_SMS_SECRET": state.secret("sms-gateway")},
            working_directory=data,
        )

    async def _until_ready(self, name: str) -> None:
        url = f"{self._installation.url(name)}/admin/health"
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _READY_TIMEOUT_S
        while loop.time() < deadline and self._processes[name].pid is not None:
            try:
                if (await self._client.get(url)).is_success:
                    return
            except httpx.HTTPError:
                await asyncio.sleep(0.05)
        failure: ServerFailed = self._processes[name].failure(f"The {name} simulator is not up.")
        raise failure

    async def _introduce_to_alipay(self) -> None:
        """Give the platform its account and its application at Alipay."""
        account = {
            "account_no": ALIPAY_PLATFORM_ACCOUNT,
            "user_id": ALIPAY_PLATFORM_ACCOUNT,
            "name": "山门电子票务平台",
        }
        app = {
            "app_id": ALIPAY_APP_ID,
            "account_no": ALIPAY_PLATFORM_ACCOUNT,
            "public_key_pem": self._installation.alipay_app_public_key(),
            "gateway_notify_url": f"{self._installation.url('edge')}/notify/alipay",
        }
        await self._post("alipay", {"accounts": account, "apps": app})

    async def _introduce_to_huijinbao(self) -> None:
        """Give the platform its account and its merchant number at Huijinbao."""
        account = {"account_no": HUIJINBAO_PLATFORM_ACCOUNT, "name": "山门电子票务平台"}
        merchant = {
            "merchant_id": HUIJINBAO_MERCHANT,
            "account_no": HUIJINBAO_PLATFORM_ACCOUNT,
            "keys": {HUIJINBAO_KEY_ID: self._installation.huijinbao_merchant_public_key()},
            "notify_url": f"{self._installation.url('edge')}/notify/huijinbao",
        }
        product = {
            "product_code": HUIJINBAO_WEALTH_PRODUCT,
            "name": "汇金宝天天利",
            "yield_10k": YIELD_10K,
        }
        await self._post(
            "huijinbao", {"accounts": account, "merchants": merchant, "products": product}
        )

    async def _post(self, simulator: str, bodies: Mapping[str, Mapping[str, object]]) -> None:
        for path, body in bodies.items():
            answer = await self._client.post(self._admin(simulator, path), json=body)
            answer.raise_for_status()
