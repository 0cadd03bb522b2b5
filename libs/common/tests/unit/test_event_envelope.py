"""Events in their envelope: what is understood, what is malformed, what is left out of logs."""

import pytest

from shanmen.common.errors import Malformed
from shanmen.common.events import parse_event
from shanmen.common.testing.events import message_of
from shanmen.common.testing.toys.events import ThingHappened

KNOWN = {ThingHappened.TYPE: ThingHappened}
EVENT = ThingHappened(thing_no="thg_1", number=7)


def test_an_event_comes_out_as_it_went_in() -> None:
    message = message_of(EVENT)
    assert parse_event(message, KNOWN) == EVENT
    assert message.subject == "thg_1"
    assert message.dataschema == "docs/events/toy.thing_happened.v1.json"


def test_fields_that_a_later_version_added_are_ignored() -> None:
    message = message_of(EVENT, data={"thing_no": "thg_1", "number": 7, "colour": "red"})
    assert parse_event(message, KNOWN) == EVENT


@pytest.mark.parametrize(
    ("data", "fields"),
    [
        ({}, "thing_no, number"),
        ({"thing_no": "thg_1", "number": "110101199003071234x"}, "number"),
        ({"thing_no": None, "number": 1}, "thing_no"),
    ],
)
def test_bad_fields_are_named_and_their_values_are_not(
    data: dict[str, object], fields: str
) -> None:
    with pytest.raises(Malformed) as malformed:
        parse_event(message_of(EVENT, id="evt_1", data=data), KNOWN)
    assert str(malformed.value) == f"toy.thing_happened.v1 evt_1: bad fields {fields}"
    assert malformed.value.__cause__ is None


def test_a_type_that_nobody_handles_is_malformed() -> None:
    with pytest.raises(Malformed, match="no handler"):
        parse_event(message_of(EVENT), {})
