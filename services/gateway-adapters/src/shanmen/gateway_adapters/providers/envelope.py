"""Taking a signed answer apart without touching its bytes.

A signature covers the exact bytes of one member's value, so the answer is cut, never parsed and
rendered again. Strings are stepped over whole: a brace or an escaped quote inside one is text.
"""

import json
import re

_SPACE = re.compile(rb"[ \t\r\n]*")
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_SCALAR = re.compile(rb'[^\s,:"{}\[\]]+')
# The next thing that matters inside an object or a list; a quote on its own opens no whole string.
_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|["{}\[\]]', re.DOTALL)
_DEPTH = {b"{": 1, b"[": 1, b"}": -1, b"]": -1}


class MalformedEnvelope(ValueError):
    """The bytes are not one JSON object with distinct names."""


def split_members(raw: bytes) -> dict[str, bytes]:
    """Map each top-level name of a JSON object to the exact bytes of its value.

    Raises MalformedEnvelope, also for a name that comes twice: two readers could see two answers.
    """
    members: dict[str, bytes] = {}
    position = _expect(raw, 0, b"{")
    while raw[position : position + 1] != b"}":
        if members:
            position = _expect(raw, position, b",")
        name_end = value_end(raw, position)
        name = decode_string(raw[position:name_end])
        start = _expect(raw, name_end, b":")
        end = value_end(raw, start)
        if name in members:
            raise MalformedEnvelope(f"the name {name!r} comes twice")
        members[name] = raw[start:end]
        position = _skip_space(raw, end)
    if _skip_space(raw, position + 1) != len(raw):
        raise MalformedEnvelope("there is text after the object")
    return members


def value_end(raw: bytes, start: int) -> int:
    """The position just after the JSON value that starts at `start`.

    For an object or a list that is just after its matching bracket. Raises MalformedEnvelope.
    """
    first = raw[start : start + 1]
    if first not in (b"{", b"["):
        match = _STRING.match(raw, start) if first == b'"' else _SCALAR.match(raw, start)
        if match is None:
            raise MalformedEnvelope(f"no JSON value at byte {start}")
        return match.end()
    depth = 0
    for token in _TOKEN.finditer(raw, start):
        if token.group() == b'"':
            break
        depth += _DEPTH.get(token.group(), 0)
        if depth == 0:
            return token.end()
    raise MalformedEnvelope(f"the value at byte {start} does not end")


def decode_string(raw: bytes) -> str:
    """The text of a raw JSON string. Raises MalformedEnvelope for anything else."""
    try:
        value = json.loads(raw.decode())
    except ValueError as error:
        raise MalformedEnvelope("not a JSON string") from error
    if not isinstance(value, str):
        raise MalformedEnvelope("not a JSON string")
    return value


def _expect(raw: bytes, position: int, mark: bytes) -> int:
    """Step over a punctuation mark and the space around it."""
    position = _skip_space(raw, position)
    if raw[position : position + 1] != mark:
        raise MalformedEnvelope(f"expected {mark.decode()!r} at byte {position}")
    return _skip_space(raw, position + 1)


def _skip_space(raw: bytes, position: int) -> int:
    match = _SPACE.match(raw, position)
    return position if match is None else match.end()
