"""Cutting an answer apart: whatever the strings hold, the bytes cut out are the bytes sent."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shanmen.gateway_adapters.providers.envelope import (
    MalformedEnvelope,
    split_members,
    value_end,
)

NASTY = st.text(alphabet=st.sampled_from('{}[]",:\\/ \n\tn门u0é')) | st.text(max_size=12)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | NASTY,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NASTY, inner, max_size=4),
    max_leaves=12,
)
SPACE = st.sampled_from(["", " ", "\n", " \t\r\n "])


@given(
    node=st.dictionaries(NASTY, VALUES, max_size=5),
    before=st.dictionaries(NASTY, VALUES, max_size=2),
    ascii_only=st.booleans(),
    compact=st.booleans(),
    space=SPACE,
)
@example(node={"a": '}"{\\'}, before={"node": "}"}, ascii_only=False, compact=True, space="")
def test_every_member_is_cut_out_byte_for_byte(
    node: dict[str, object],
    before: dict[str, object],
    ascii_only: bool,
    compact: bool,
    space: str,
) -> None:
    separators = (",", ":") if compact else None
    parts = {
        name: json.dumps(value, ensure_ascii=ascii_only, separators=separators).encode(
            "utf-8", "surrogatepass"
        )
        for name, value in {**before, "answer": node, "sign": "s"}.items()
    }
    gap = space.encode()
    raw = gap + b"{" + gap
    raw += (gap + b"," + gap).join(
        json.dumps(name, ensure_ascii=True).encode() + gap + b":" + gap + value
        for name, value in parts.items()
    )
    raw += gap + b"}" + gap
    assert split_members(raw) == parts


@given(node=st.dictionaries(NASTY, VALUES, max_size=5), tail=st.binary(max_size=8))
def test_an_object_ends_at_its_own_brace(node: dict[str, object], tail: bytes) -> None:
    raw = json.dumps(node).encode()
    assert value_end(raw + tail, 0) == len(raw)


@given(st.binary(max_size=40) | NASTY.map(str.encode))
def test_anything_else_is_refused_and_nothing_else_is_raised(raw: bytes) -> None:
    try:
        members = split_members(raw)
    except MalformedEnvelope:
        return
    assert raw.strip().startswith(b"{")
    assert all(value in raw for value in members.values())


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"null",
        b"[]",
        b"<html>502</html>",
        b"{",
        b'{"a"',
        b'{"a":',
        b'{"a":1',
        b'{"a":1,}',
        b'{"a":1 "b":2}',
        b'{"a":1}x',
        b'{"a":1}{"a":1}',
        b'{"a":"}',
        b'{"a":{"b":"}}',
        b"{a:1}",
        b'{"a":1,"a":2}',
        b'{"sign":"x","s\\u0069gn":"y"}',
    ],
)
def test_a_malformed_envelope_is_refused(raw: bytes) -> None:
    with pytest.raises(MalformedEnvelope):
        split_members(raw)


def test_a_long_unfinished_string_takes_no_longer_than_its_length() -> None:
    with pytest.raises(MalformedEnvelope):
        split_members(b'{"a":"' + b"\\\\" * 500_000)
    with pytest.raises(MalformedEnvelope):
        split_members(b'{"a":' + b"[" * 500_000)
