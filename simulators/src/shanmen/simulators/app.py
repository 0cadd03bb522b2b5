"""A channel's simulator as an ASGI application."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from starlette.applications import Starlette
from starlette.routing import Route

from shanmen.simulators.books import Books
from shanmen.simulators.channel import Channel
from shanmen.simulators.enrolment import Section, plant, read_seed

logger = logging.getLogger(__name__)

_MAX_BODY_BYTES: Final = 256 * 1024


def build_app(
    open_channel: Callable[[], Channel], sections: Iterable[Section], routes: Iterable[Route]
) -> Starlette:
    """The application; its lifespan opens the books and runs the work in the background."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        channel = open_channel()
        try:
            await channel.start()
            if channel.settings.seed_file is not None:
                await _plant(channel, channel.settings.seed_file, sections)
            background = asyncio.create_task(channel.work(), name="channel")
            background.add_done_callback(_report_end)
            app.state.channel, app.state.background = channel, background
            try:
                yield
            finally:
                background.cancel()
                await asyncio.wait([background])
        finally:
            channel.close()

    return Starlette(routes=list(routes), lifespan=lifespan, max_body_size=_MAX_BODY_BYTES)


async def _plant(channel: Channel, seed_file: Path, sections: Iterable[Section]) -> None:
    seed = read_seed(seed_file)

    def planted(books: Books) -> None:
        plant(books, seed, sections)

    await channel.within(planted)


def _report_end(background: "asyncio.Task[None]") -> None:
    if not background.cancelled() and background.exception() is not None:
        logger.error("the background work ended", exc_info=background.exception())
