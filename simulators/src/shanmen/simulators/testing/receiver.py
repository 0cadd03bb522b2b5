"""A merchant's notification address that remembers what it got and answers by a script."""

import asyncio
import json
from typing import Any, Final
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

_SUCCESS: Final = "success"
_PATIENCE_S: Final = 5


class Receiver:
    """Takes notifications at `/notify`; answers as Alipay wants it unless told otherwise."""

    def __init__(self) -> None:
        self._answers: list[str] = []
        self._arrived = asyncio.Condition()
        self.forms: list[dict[str, Any]] = []
        self.app = Starlette(routes=[Route("/notify", self._take, methods=["POST"])])

    def answer_first(self, *answers: str) -> None:
        """Give these answers, one each, before going back to acceptance."""
        self._answers.extend(answers)

    async def wait_for(self, count: int) -> list[dict[str, Any]]:
        """The forms so far, once there are at least `count`. Raises TimeoutError."""
        async with asyncio.timeout(_PATIENCE_S), self._arrived:
            await self._arrived.wait_for(lambda: len(self.forms) >= count)
            return list(self.forms)

    async def _take(self, request: Request) -> Response:
        body = (await request.body()).decode()
        async with self._arrived:
            self.forms.append(self.read(body))
            self._arrived.notify_all()
        return Response(self._answers.pop(0) if self._answers else self.acceptance(body))

    def read(self, body: str) -> dict[str, Any]:
        """The fields of a notification."""
        return dict(parse_qsl(body, keep_blank_values=True))

    def acceptance(self, _body: str) -> str:
        """What the channel wants to hear."""
        return _SUCCESS


class EnvelopeReceiver(Receiver):
    """Takes Huijinbao's envelopes; acknowledges each by its number unless told otherwise."""

    def __init__(self) -> None:
        super().__init__()
        self.bodies: list[bytes] = []

    def read(self, body: str) -> dict[str, Any]:
        """The envelope; its body as it came is kept in `bodies`."""
        self.bodies.append(body.encode())
        envelope: dict[str, Any] = json.loads(body)
        return envelope

    def acceptance(self, body: str) -> str:
        """`RECV_OK_` and the number that the notification is about."""
        return f"RECV_OK_{json.loads(body)['data']['req_seq_id']}"
