"""The Alipay simulator as an ASGI application."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from starlette.applications import Starlette
from starlette.routing import Route

from shanmen.simulators.alipay import admin, enrolment
from shanmen.simulators.alipay.channel import Channel
from shanmen.simulators.alipay.gateway import serve_gateway
from shanmen.simulators.alipay.settings import Settings

logger = logging.getLogger(__name__)

_MAX_BODY_BYTES: Final = 256 * 1024


def create_app(settings: Settings) -> Starlette:
    """The application; its lifespan opens the books and runs the work in the background.

    Serve it with `shanmen.simulators.serving.build_server`, so that faults can drop connections.
    """

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        channel = Channel(settings)
        try:
            if settings.seed_file is not None:
                seed = enrolment.read_seed(settings.seed_file)
                await channel.within(lambda books: enrolment.plant(books, seed))
            background = asyncio.create_task(channel.work(), name="alipay-simulator")
            background.add_done_callback(_report_end)
            app.state.channel, app.state.background = channel, background
            try:
                yield
            finally:
                background.cancel()
                await asyncio.wait([background])
        finally:
            channel.close()

    return Starlette(
        routes=[
            Route("/gateway.do", serve_gateway, methods=["GET", "POST"]),
            *admin.routes(),
        ],
        lifespan=lifespan,
        max_body_size=_MAX_BODY_BYTES,
    )


def _report_end(background: "asyncio.Task[None]") -> None:
    if not background.cancelled() and background.exception() is not None:
        logger.error("the background work ended", exc_info=background.exception())
