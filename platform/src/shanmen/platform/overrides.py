"""`SHANMEN_OVERRIDES`: settings in place of the local ones, such as delays in milliseconds."""

import json
import os
from collections.abc import Mapping
from typing import Any, Final

from shanmen.platform.servers.errors import ServerError
from shanmen.platform.services import SERVICES

VARIABLE: Final = "SHANMEN_OVERRIDES"
"""JSON, {service: {field: value}}; a field that is itself an object is overridden key by key."""


class BadOverrides(ServerError):
    """The overrides name something that is not there, or are no JSON."""


def overrides_from_environment(
    environment: Mapping[str, str] = os.environ,
) -> Mapping[str, Mapping[str, Any]]:
    """The overrides of every service, each naming settings that it has. Raises BadOverrides."""
    text = environment.get(VARIABLE, "").strip()
    if not text:
        return {}
    try:
        given = json.loads(text)
    except json.JSONDecodeError as error:
        raise BadOverrides(f"{VARIABLE} is not JSON: {error}.") from error
    if not isinstance(given, dict) or not all(isinstance(v, dict) for v in given.values()):
        raise BadOverrides(
            f"{VARIABLE} must be an object of objects: {{service: {{field: value}}}}."
        )
    known = {service.name: set(service.settings.model_fields) for service in SERVICES}
    for service, fields in given.items():
        if service not in known:
            raise BadOverrides(
                f"{VARIABLE} names no service {service!r}. There are: {', '.join(known)}."
            )
        for field in fields:
            if field not in known[service]:
                raise BadOverrides(
                    f"{VARIABLE}: {service} has no setting {field!r}. "
                    f"It has: {', '.join(sorted(known[service]))}."
                )
    return given


def overridden(values: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """The values with the overrides in their place."""
    merged = dict(values)
    for field, value in overrides.items():
        before = merged.get(field)
        merged[field] = (
            {**before, **value} if isinstance(before, dict) and isinstance(value, dict) else value
        )
    return merged
