"""Who tells what to whom: every event has a name that says so, a producer, and a consumer."""

import ast
import re
from collections.abc import Mapping
from typing import Any, Final

import pytest

from shanmen.common.events import Event
from shanmen.common.service import Service
from shanmen.platform.documents.events import consumers_of, event_types, producers_of
from shanmen.platform.services import SERVICES

EVENTS: Final = event_types()
NAME: Final = re.compile(r"(?P<module>[a-z]+)\.(?P<what>[a-z]+(?:_[a-z]+)+)\.v[1-9]\d*")
IRREGULAR: Final = ("paid", "stuck")

HEARD_BEFORE_TOLD: Final = {"orders.ticket_activated.v1"}
"""Consumers that are ready before their producer is written."""


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.__name__)
def test_its_name_is_its_module_and_what_happened(event: type[Event]) -> None:
    name = NAME.fullmatch(event.TYPE)
    assert name, f"{event.TYPE}: name it <module>.<what happened>.v<number>"
    assert name["module"] == event.__module__.rpartition(".")[2]
    assert name["what"] == re.sub(r"(?<!^)([A-Z])", r"_\1", event.__name__).lower()
    assert name["what"].endswith(("ed", *IRREGULAR)), f"{event.TYPE}: say it in the past tense"


def test_every_told_event_is_heard() -> None:
    unheard = [event.TYPE for event in EVENTS if producers_of(event) and not consumers_of(event)]
    assert not unheard, f"The broker refuses what no queue is bound to; do not emit {unheard} yet"


def test_every_heard_event_is_told() -> None:
    untold = {event.TYPE for event in EVENTS if consumers_of(event) and not producers_of(event)}
    assert untold == HEARD_BEFORE_TOLD, (
        "Some handlers wait for an event that nobody tells; keep HEARD_BEFORE_TOLD as it is"
    )


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_a_service_tells_its_own_facts_and_commands_others(service: Service[Any, Any]) -> None:
    own = service.name.partition("-")[0]
    foreign = [
        event.TYPE
        for event in service.emits
        if not event.TYPE.startswith(f"{own}.") and not _is_command(event)
    ]
    assert not foreign, f"{service.name} tells what others own: {foreign}"


def test_a_command_is_heard_by_one_service() -> None:
    commands = [event for event in EVENTS if _is_command(event)]
    assert {event.TYPE: len(consumers_of(event)) for event in commands} == {
        event.TYPE: 1 for event in commands
    }


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_what_a_service_says_it_emits_is_what_its_code_emits(
    service: Service[Any, Any], modules: Mapping[str, ast.Module]
) -> None:
    by_name = {event.__name__: event for event in EVENTS}
    made = {
        by_name[called]
        for name, module in modules.items()
        if name.startswith(f"services/{service.name}/src/") and "/testing" not in name
        for node in ast.walk(module)
        if isinstance(node, ast.Call) and (called := _called(node)) in by_name
    }
    assert made == {*service.emits}, f"Correct `emits` in {service.name}'s main.py"


def _is_command(event: type[Event]) -> bool:
    return event.TYPE.rsplit(".", 1)[0].endswith("_requested")


def _called(node: ast.Call) -> str:
    if isinstance(node.func, ast.Name):
        return node.func.id
    return node.func.attr if isinstance(node.func, ast.Attribute) else ""
