"""A merchant's notification address that remembers what it got and answers by a script."""

import asyncio
from typing import Final
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

_SUCCESS: Final = "success"
_PATIENCE_S: Final = 5


class Receiver:
    """Takes notifications at `/notify`; answers `success` unless told otherwise."""

    def __init__(self) -> None:
        self._answers: list[str] = []
        self._arrived = asyncio.Condition()
        self.forms: list[dict[str, str]] = []
        self.app = Starlette(routes=[Route("/notify", self._take, methods=["POST"])])

    def answer_first(self, *answers: str) -> None:
        """Give these answers, one each, before going back to `success`."""
        self._answers.extend(answers)

    async def wait_for(self, count: int) -> list[dict[str, str]]:
        """The forms so far, once there are at least `count`. Raises TimeoutError."""
        async with asyncio.timeout(_PATIENCE_S), self._arrived:
            await self._arrived.wait_for(lambda: len(self.forms) >= count)
            return list(self.forms)

    async def _take(self, request: Request) -> Response:
        body = (await request.body()).decode()
        async with self._arrived:
            self.forms.append(dict(parse_qsl(body, keep_blank_values=True)))
            self._arrived.notify_all()
        return Response(self._answers.pop(0) if self._answers else _SUCCESS)
