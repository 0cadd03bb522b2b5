"""`python -m shanmen.platform.edge_server`: the edge of the separate-process mode."""

import asyncio
import os

import httpx

from shanmen.common.serving import serve_http
from shanmen.common.telemetry import configure_logging
from shanmen.platform.edge import proxying_edge
from shanmen.platform.run import stop_on_signals
from shanmen.platform.servers.ports import LOOPBACK
from shanmen.platform.services import MODULES


async def _serve() -> None:
    addresses = {name: os.environ[f"{name.replace('-', '_').upper()}_URL"] for name in MODULES}
    limits = httpx.Limits(max_connections=500, max_keepalive_connections=100)
    async with httpx.AsyncClient(trust_env=False, limits=limits) as client:
        edge = proxying_edge(client, addresses)
        await serve_http(edge, LOOPBACK, int(os.environ["PORT"]), stop_on_signals())


if __name__ == "__main__":
    configure_logging(os.environ.get("LOG_LEVEL", "WARNING"))
    asyncio.run(_serve())
