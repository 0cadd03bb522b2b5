"""Examples of the published language."""

import types
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from enum import Enum
from typing import Any, Final, Union, get_args, get_origin

import pytest
from pydantic import BaseModel

from shanmen.common.events import Event

NOON: Final = datetime(2026, 11, 1, 4, 0, tzinfo=UTC)
FITTING: Final = {
    "channel": "alipay",
    "template": "payout_short",
    "params": {"channel": "alipay", "subject": "pay_1", "amount_yuan": "1.00"},
    "outcome": "funds",
    "valid_until": NOON + timedelta(hours=12),
    "expires_at": NOON + timedelta(hours=13),
}
"""Values for fields whose type alone allows what nobody would say."""


@pytest.fixture(scope="session")
def example() -> Callable[..., Event]:
    """`example(OrderPaid)`: an event whose every field is filled in, with others if given."""

    def fill(event: type[Event], **given: Any) -> Event:
        return event(**{**_fields_of(event), **given})

    return fill


def _fields_of(model: type[BaseModel]) -> dict[str, Any]:
    return {
        name: FITTING.get(name) or _value(name, field.annotation)
        for name, field in model.model_fields.items()
    }


def _value(name: str, annotation: Any) -> Any:
    if get_origin(annotation) in (Union, types.UnionType):
        return _value(name, get_args(annotation)[0])
    if get_origin(annotation) is tuple:
        return (_value(name, get_args(annotation)[0]),)
    if issubclass(annotation, BaseModel):
        return annotation(**_fields_of(annotation))
    if issubclass(annotation, Enum):
        return next(iter(annotation))
    return {str: f"{name}_1", int: 1, bool: True, datetime: NOON, date: NOON.date()}[annotation]
