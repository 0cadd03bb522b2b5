"""What the body of a request may hold: no unknown fields, and no value that has to be guessed.

Pydantic as it comes takes `true`, `"1"` and `1.0` for the integer 1, and `"no"` for false. Where
money moves, whoever sends such a thing is told so instead.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from fastapi.params import Form
from fastapi.routing import APIRoute
from pydantic import BaseModel, StrictBool, StrictInt, TypeAdapter

from shanmen.platform.services import SERVICES

BETWEEN_SERVICES: Final = {"POST /internal/reservations"}
"""The published language: fields may be added, and what a service does not know it ignores."""

REMEDIES: Final = {"int": "StrictInt", "bool": "StrictBool"}
OWN_VALUES: Final = {"metadata", "serialization", "default"}
"""Of a node: values of the model's own, which may look like nodes."""

Node = Mapping[str, Any]
"""A part of a pydantic core schema; its `type` says what it checks."""


class Inner(BaseModel):
    """Lenient."""

    fen: int
    sure: StrictBool


class Outer(BaseModel, extra="forbid"):
    """Strict itself, with something lenient inside."""

    count: StrictInt = 1
    inner: list[Inner] | None = None
    flags: dict[str, bool] = {}


def _bodies() -> Iterator[tuple[str, Node]]:
    """Route and core schema of every body but forms, which are text."""
    for service in SERVICES:
        for route in service.router.routes:
            assert isinstance(route, APIRoute), f"{service.name}: {route} hides its routes"
            body = route.body_field
            if body is not None and not isinstance(body.field_info, Form):
                annotation: Any = body.field_info.annotation
                methods = " ".join(sorted(route.methods or ()))
                yield f"{methods} {route.path}", TypeAdapter(annotation).core_schema


def _nodes(part: object, place: str = "body") -> Iterator[tuple[str, Node]]:
    """All nodes of a core schema, each with the fields that lead to it."""
    if isinstance(part, Mapping):
        if "type" in part:
            yield place, part
        for key, inner in part.items():
            if key == "fields" and isinstance(inner, Mapping):
                for name, field in inner.items():
                    yield from _nodes(field, f"{place}.{name}")
            elif key not in OWN_VALUES:
                yield from _nodes(inner, place)
    elif isinstance(part, list | tuple):
        for inner in part:
            yield from _nodes(inner, place)


def _guessed(schema: Node) -> dict[str, str]:
    """Where other values are taken for integers and booleans, and the remedy."""
    return {
        place: REMEDIES[node["type"]]
        for place, node in _nodes(schema)
        if node["type"] in REMEDIES and not node.get("strict")
    }


def _lenient(schema: Node) -> set[str]:
    """The models that ignore fields they do not know."""
    return {
        node["cls"].__qualname__
        for _, node in _nodes(schema)
        if node["type"] == "model"
        and node.get("config", {}).get("extra_fields_behavior") != "forbid"
    }


BODIES: Final = dict(_bodies())


def test_integers_and_booleans_are_taken_as_they_are() -> None:
    guessed = {route: places for route, schema in BODIES.items() if (places := _guessed(schema))}
    assert not guessed, f"Declare these fields with these types of pydantic: {guessed}"


def test_unknown_fields_are_refused() -> None:
    lenient = {route: models for route, schema in BODIES.items() if (models := _lenient(schema))}
    assert {*lenient} == BETWEEN_SERVICES, f'Set extra="forbid" in these models: {lenient}'


def test_no_body_and_nothing_inside_one_is_overlooked() -> None:
    known = {"POST /v1/orders", "POST /v1/scans", "PUT /v1/products/{product_id}/terms"}
    assert known | BETWEEN_SERVICES <= {*BODIES}
    schema = TypeAdapter(Outer | None).core_schema
    assert _guessed(schema) == {"body.inner.fen": "StrictInt", "body.flags": "StrictBool"}
    assert _lenient(schema) == {"Inner"}
