"""Reading a JSON object that a person or a test sent, with errors that say what to send."""

from collections.abc import Mapping
from typing import Any


class BadInput(Exception):
    """What was sent cannot be used; the text says what would be."""


class Fields:
    """The fields of one JSON object. Call `finish` when all known ones have been read."""

    def __init__(self, given: object, what: str) -> None:
        """Raises BadInput when `given` is not an object; `what` names it in errors."""
        if not isinstance(given, Mapping):
            raise BadInput(f"{what} must be a JSON object")
        self._given: Mapping[str, Any] = given
        self._what = what
        self._known: set[str] = set()

    def text(self, name: str) -> str:
        """Text that must be there and not be empty. Raises BadInput."""
        value = self.optional_text(name)
        if value is None:
            raise BadInput(f"{self._what} needs {name}, as text")
        return value

    def optional_text(self, name: str) -> str | None:
        """Text or nothing. Raises BadInput."""
        value = self._take(name)
        if value is not None and (not isinstance(value, str) or not value):
            raise BadInput(f"{self._what}: {name} must be text, not empty")
        return value

    def integer(self, name: str, minimum: int) -> int:
        """A whole number that must be there. Raises BadInput."""
        value = self.optional_integer(name, minimum)
        if value is None:
            raise BadInput(f"{self._what} needs {name}, a whole number of at least {minimum}")
        return value

    def optional_integer(self, name: str, minimum: int) -> int | None:
        """A whole number or nothing. Raises BadInput."""
        value = self._take(name)
        if value is None:
            return None
        if not isinstance(value, int) or isinstance(value, bool) or value < minimum:
            raise BadInput(f"{self._what}: {name} must be a whole number of at least {minimum}")
        return value

    def fraction(self, name: str) -> float:
        """A probability from 0 to 1; 1 where it is not given. Raises BadInput."""
        value = self._take(name)
        if value is None:
            return 1.0
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= 1:
            raise BadInput(f"{self._what}: {name} must be a number from 0 to 1")
        return float(value)

    def mapping(self, name: str) -> Mapping[str, str]:
        """An object of texts; empty where it is not given. Raises BadInput."""
        value = self._take(name)
        if value is None:
            return {}
        if not isinstance(value, Mapping) or not all(isinstance(v, str) for v in value.values()):
            raise BadInput(f"{self._what}: {name} must be an object whose values are text")
        return value

    def items(self, name: str) -> list[object]:
        """A list; empty where it is not given. Raises BadInput."""
        value = self._take(name)
        if value is None:
            return []
        if not isinstance(value, list):
            raise BadInput(f"{self._what}: {name} must be a list")
        return value

    def finish(self) -> None:
        """Refuse fields that nobody has read. Raises BadInput."""
        unknown = sorted(set(self._given) - self._known)
        if unknown:
            known = ", ".join(sorted(self._known))
            raise BadInput(f"{self._what} knows no {', '.join(unknown)}; it takes {known}")

    def _take(self, name: str) -> Any:
        self._known.add(name)
        return self._given.get(name)
