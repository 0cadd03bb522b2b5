"""Not answering: the connection is held, then dropped."""

import asyncio

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from shanmen.simulators.faults import Delivery, Fault
from shanmen.simulators.serving import drop_connection


def instead_of_answer(delivery: Delivery, fault: Fault | None) -> Response | None:
    """What a client gets where a fault keeps the answer from it; None where it does not."""
    if delivery is Delivery.UNAVAILABLE:
        page = "<html><body><h1>503 Service Unavailable</h1></body></html>"
        return Response(page, status_code=503, media_type="text/html")
    if delivery is Delivery.ANSWER:
        return None
    is_held = delivery is Delivery.SILENCE and fault is not None
    return Silence(hold_ms=fault.hold_ms if is_held and fault is not None else 0)


class Silence(Response):
    """No answer at all: the connection is held, then dropped."""

    def __init__(self, hold_ms: int) -> None:
        super().__init__()
        self._hold_ms = hold_ms

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Wait until the client has gone or has waited long enough."""
        has_left = await _has_left_within(receive, self._hold_ms / 1000)
        if not has_left and not await drop_connection(scope, receive):
            # A server without the extension: an answer that breaks off is the nearest thing.
            await send(
                {
                    "type": "http.response.start",
                    "status": 502,
                    "headers": [(b"content-length", b"1")],
                }
            )


async def _has_left_within(receive: Receive, wait_s: float) -> bool:
    try:
        async with asyncio.timeout(wait_s):
            while (await receive())["type"] != "http.disconnect":
                pass
    except TimeoutError:
        return False
    return True
