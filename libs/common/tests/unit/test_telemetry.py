"""Log lines as JSON, and trace context as headers."""

import json
import logging

from shanmen.common.telemetry import JsonFormatter, current_trace, span, start_telemetry

PARENT = {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}


def line_of(message: str, *args: object, **extra: object) -> dict[str, object]:
    record = logging.getLogger("shop").makeRecord(
        "shop", logging.WARNING, __file__, 1, message, args, None, extra=extra
    )
    line: dict[str, object] = json.loads(JsonFormatter().format(record))
    return line


def test_a_line_has_its_fields() -> None:
    line = line_of("sold %s", "out", product_id="prd_1", term="售罄", odd=object)
    assert line["message"] == "sold out"
    assert (line["level"], line["logger"]) == ("warning", "shop")
    assert (line["product_id"], line["term"]) == ("prd_1", "售罄")
    assert "trace_id" not in line
    assert "odd" in line


def test_an_exception_is_on_the_same_line() -> None:
    try:
        raise ValueError("bad")
    except ValueError as error:
        info = (type(error), error, error.__traceback__)
    record = logging.getLogger("shop").makeRecord("shop", 40, __file__, 1, "x", (), info)
    text = JsonFormatter().format(record)
    assert "\n" not in text
    assert "ValueError: bad" in json.loads(text)["exception"]


def test_a_span_continues_its_parent() -> None:
    start_telemetry("test")
    assert current_trace() == {}
    with span("outer", PARENT):
        outer = current_trace()["traceparent"].split("-")
        assert line_of("inside")["trace_id"] == "4bf92f3577b34da6a3ce929d0e0e4736"
    assert outer[1] == "4bf92f3577b34da6a3ce929d0e0e4736"
    assert outer[2] != "00f067aa0ba902b7"
    assert current_trace() == {}


def test_without_a_sound_parent_a_span_begins_a_trace() -> None:
    start_telemetry("test")
    for parent in ({}, {"traceparent": "nonsense"}):
        with span("outer", parent):
            trace_id = line_of("inside")["trace_id"]
        assert isinstance(trace_id, str)
        assert len(trace_id) == 32
