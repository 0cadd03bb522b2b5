"""Every event survives the wire, outlives its later fields, and names nobody."""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shanmen.common.errors import Malformed
from shanmen.common.events import Event, Message, parse_event
from shanmen.common.testing.events import message_of
from shanmen.platform.documents.events import event_types, schema_of

PERSONAL_OR_SECRET: Final = re.compile(
    r"account_(no|name|number)|agreement|card|holder|passport|identity|id_(no|number)|"
    r"visitor|contact|phone|mobile|email|address|secret|token|password|key|qr"
)

every_event = pytest.mark.parametrize("event", event_types(), ids=lambda event: event.TYPE)
with_any_values = settings(max_examples=5, deadline=None, derandomize=True, database=None)


@every_event
@with_any_values
@given(data=st.data())
def test_what_arrives_is_what_was_told(event: type[Event], data: st.DataObject) -> None:
    told = data.draw(st.builds(event))
    assert _arrived(message_of(told), event) == told


@every_event
@with_any_values
@given(data=st.data())
def test_fields_that_are_added_later_change_nothing(
    event: type[Event], data: st.DataObject
) -> None:
    told = data.draw(st.builds(event))
    later = _with_later_fields(message_of(told).data)
    assert later != message_of(told).data
    assert _arrived(message_of(told, data=later), event) == told


@every_event
def test_an_event_without_one_of_its_fields_is_malformed(
    event: type[Event], example: Callable[..., Event]
) -> None:
    told = example(event)
    required = [name for name, field in event.model_fields.items() if field.is_required()]
    assert required
    for name in required:
        incomplete = {key: value for key, value in message_of(told).data.items() if key != name}
        with pytest.raises(Malformed, match=rf"bad fields {name}$"):
            _arrived(message_of(told, data=incomplete), event)


@every_event
def test_an_event_is_about_something(event: type[Event], example: Callable[..., Event]) -> None:
    told = example(event)
    assert told.subject() in told.model_dump().values()


@every_event
def test_an_event_carries_nothing_of_a_person_or_an_account(event: type[Event]) -> None:
    """Accounts travel by reference: their numbers leave catalog for the gateway alone."""
    names = [*_field_names(schema_of(event))]
    assert names
    telling = [name for name in names if PERSONAL_OR_SECRET.search(name)]
    assert not telling, f"{event.TYPE}: tell an id instead of {telling}"


@every_event
def test_an_event_says_how_much_in_whole_fen(event: type[Event]) -> None:
    schema = json.dumps(schema_of(event))
    assert '"type": "number"' not in schema


def _arrived(message: Message, event: type[Event]) -> Event:
    """What a consumer gets of a message, after its way through JSON."""
    body = json.dumps(message.data)
    sent = {**vars(message), "data": json.loads(body)}
    return parse_event(Message(**sent), {event.TYPE: event})


def _with_later_fields(value: Any) -> Any:
    if isinstance(value, dict):
        # `params` is a mapping of its own kind: its keys are values, not fields.
        grown = {
            key: inner if key == "params" else _with_later_fields(inner)
            for key, inner in value.items()
        }
        return {**grown, "added_in_a_later_release": {"anything": [1, "two", None]}}
    return [_with_later_fields(item) for item in value] if isinstance(value, list) else value


def _field_names(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        properties = schema.get("properties", {})
        yield from properties
        for inner in [*properties.values(), *schema.get("$defs", {}).values()]:
            yield from _field_names(inner)
