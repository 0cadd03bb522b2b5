"""docs/events: the JSON Schema of every event, and the table of who tells whom."""

import pkgutil
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any, Final

from pydantic.json_schema import GenerateJsonSchema

from shanmen import contracts
from shanmen.common.events import Event
from shanmen.platform.documents.api import as_json
from shanmen.platform.documents.docstrings import class_text, field_texts
from shanmen.platform.documents.markdown import page, table
from shanmen.platform.services import SERVICES

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

_INTRODUCTION: Final = """
What the services tell each other. This page and the schemas beside it are written by
`make docs` from `shanmen.contracts` and from what each service emits and subscribes to.

A name is `<module>.<what happened>.v<version>`. A command (`…_requested`) is addressed to one
service; everything else is a fact, told by the service that owns it. Fields may be added to a
version, never changed or removed, and consumers ignore those they do not know. Events arrive at
least once and in any order.

On RabbitMQ an event is a message of the topic exchange `shanmen.events` with its name as routing
key. Its body is the payload as JSON, valid against the schema; its headers are the CloudEvents
1.0 attributes (`cloudEvents:id`, `…:type`, `…:source`, `…:subject`, `…:time`, `…:dataschema`) and
the W3C trace context (`traceparent`).

"""

_RESERVED: Final = """
## Reserved

Part of the language already, and told by nobody yet.
"""


class _Described(GenerateJsonSchema):
    """JSON Schema with the docstrings of fields as their descriptions."""

    def model_schema(self, schema: Any) -> dict[str, Any]:
        """See GenerateJsonSchema; a field that is described otherwise keeps its description."""
        described = super().model_schema(schema)
        properties = described.get("properties", {})
        for owner in reversed(schema["cls"].__mro__):
            if owner.__module__.startswith(f"{contracts.__name__}."):
                for name, text in field_texts(owner).items():
                    properties.get(name, {}).setdefault("description", text)
        return described


def event_types() -> list[type[Event]]:
    """Every event of the published language, by name."""
    found = {
        value.TYPE: value
        for module in pkgutil.iter_modules(contracts.__path__, f"{contracts.__name__}.")
        for value in vars(import_module(module.name)).values()
        if isinstance(value, type) and issubclass(value, Event) and hasattr(value, "TYPE")
    }
    return [found[name] for name in sorted(found)]


def producers_of(event: type[Event]) -> list[str]:
    """The services that tell an event."""
    return [service.name for service in SERVICES if event in service.emits]


def consumers_of(event: type[Event]) -> list[str]:
    """The services that act on an event."""
    return [
        service.name
        for service in SERVICES
        if any(event.TYPE in subscription.events for subscription in service.subscriptions)
    ]


def event_documents() -> Mapping[str, str]:
    """One schema per event, and the table."""
    events = event_types()
    schemas = {f"docs/events/{event.TYPE}.json": as_json(schema_of(event)) for event in events}
    return {**schemas, "docs/events/README.md": _table_page(events)}


def schema_of(event: type[Event]) -> dict[str, Any]:
    """The JSON Schema of an event's payload."""
    schema = event.model_json_schema(schema_generator=_Described)
    address = f"docs/events/{event.TYPE}.json"
    title, text = schema.pop("title"), class_text(event)
    return {"$schema": _DIALECT, "$id": address, "title": title, "description": text, **schema}


def _table_page(events: Sequence[type[Event]]) -> str:
    told = [event for event in events if producers_of(event)]
    reserved = [event for event in events if not producers_of(event)]
    parts = [_INTRODUCTION, _table(told)]
    return page("Events", *parts, *([_RESERVED, _table(reserved)] if reserved else []))


def _table(events: Sequence[type[Event]]) -> str:
    rows = [
        (
            f"[`{event.TYPE}`]({event.TYPE}.json)",
            ", ".join(producers_of(event)) or "–",
            ", ".join(consumers_of(event)) or "–",
            class_text(event),
        )
        for event in events
    ]
    return table(("event", "told by", "acted on by", ""), rows)
