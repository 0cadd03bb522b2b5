"""One trace from the request through the outbox to the handler, and to its log lines."""

import io
import json
import logging
from collections.abc import Iterator

import pytest

from shanmen.common.db import Tx
from shanmen.common.telemetry import JsonFormatter, current_trace, start_telemetry
from shanmen.common.testing.clients import api_client
from shanmen.common.testing.events import eventually
from shanmen.common.testing.fixtures import OpenDatabase, OpenTransport
from shanmen.common.testing.principals import principal
from shanmen.common.testing.toys.events import ThingHappened
from shanmen.common.testing.toys.maker import MAKER, WRITE
from shanmen.common.testing.toys.pair import open_pair

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
REQUEST_SPAN = "00f067aa0ba902b7"


@pytest.fixture
def keeper_log() -> Iterator[io.StringIO]:
    """What the keeper logs, as its process would write it."""
    start_telemetry("test")
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    logger = logging.getLogger("shanmen.common.testing.toys.keeper")
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield stream
    logger.removeHandler(handler)
    logger.setLevel(before)


async def test_a_trace_goes_from_the_request_to_the_handlers_log_line(
    transport: OpenTransport, open_database: OpenDatabase, keeper_log: io.StringIO
) -> None:
    seen: list[str] = []

    async def note_trace(_tx: Tx, _event: ThingHappened) -> None:
        seen.append(current_trace()["traceparent"])

    pair = await open_pair(transport, open_database, behaviour=note_trace)
    context = pair.maker.context
    token = context.tokens.issue(principal("operator", scopes=[WRITE]))
    async with api_client(MAKER, context, token=token) as client:
        answer = await client.post(
            "/v1/things",
            json={"number": 1},
            headers={"traceparent": f"00-{TRACE_ID}-{REQUEST_SPAN}-01"},
        )
    assert answer.status_code == 201
    await pair.make(2)  # outside any request: a trace of its own
    await pair.drain()
    assert await pair.kept() == [1, 2]

    of_request = next(trace for trace in seen if TRACE_ID in trace)
    assert REQUEST_SPAN not in of_request, "the handler works in a span of its own"
    sent = {message.data["number"]: message.trace for message in pair.transport.published}
    assert TRACE_ID in sent[1]["traceparent"]
    assert sent[2] == {}
    await eventually(lambda: keeper_log.getvalue().count("\n") >= 2)
    lines = {
        line["thing_no"]: line for line in map(json.loads, keeper_log.getvalue().splitlines())
    }
    line = lines[answer.json()["thing_no"]]
    assert (line["message"], line["level"]) == ("thing kept", "info")
    assert line["trace_id"] == TRACE_ID
    assert len({line["trace_id"] for line in lines.values()}) == 2
