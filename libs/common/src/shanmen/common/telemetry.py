"""Trace context across requests and events, and logs as JSON lines that carry it.

OpenTelemetry makes and propagates W3C trace context (`traceparent`). Spans leave the process only
where an operator configures an exporter; without one, making them is cheap and logs still join up.
"""

import json
import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

_PROPAGATOR: Final = TraceContextTextMapPropagator()
_RESERVED: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def start_telemetry(service: str) -> None:
    """Install the tracer provider once per process; later calls change nothing."""
    if not isinstance(trace.get_tracer_provider(), TracerProvider):
        resource = Resource({"service.name": service})
        trace.set_tracer_provider(TracerProvider(resource=resource, shutdown_on_exit=False))


def current_trace() -> dict[str, str]:
    """The present trace context as headers to be carried along; empty outside any span."""
    carrier: dict[str, str] = {}
    _PROPAGATOR.inject(carrier)
    return carrier


@contextmanager
def span(name: str, parent: Mapping[str, str]) -> Iterator[None]:
    """Run a block as a span, a child of the trace context in `parent` if there is one."""
    context = _PROPAGATOR.extract(dict(parent))
    with trace.get_tracer("shanmen").start_as_current_span(name, context=context):
        yield


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, trace id and the `extra` fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Render a record; exception text is kept, request bodies never get here."""
        context = trace.get_current_span().get_span_context()
        line = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **{k: v for k, v in vars(record).items() if k not in _RESERVED},
        }
        if context.is_valid:
            line["trace_id"] = trace.format_trace_id(context.trace_id)
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def configure_logging(level: str = "INFO") -> None:
    """Log to standard error as JSON lines; libraries only from WARNING on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for noisy in ("httpx", "httpcore", "aio_pika", "aiormq", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
