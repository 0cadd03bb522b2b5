"""What is signed, to the byte, and which envelopes prove nothing."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from shanmen.gateway_adapters.providers import rsa2
from shanmen.gateway_adapters.providers.calls import Doubt
from shanmen.gateway_adapters.providers.huijinbao import signing
from shanmen.gateway_adapters.providers.huijinbao.envelope import (
    Disbelieved,
    Sender,
    Verified,
    open_envelope,
)

Keys = Mapping[str, rsa.RSAPrivateKey]
SealAs = Callable[..., bytes]


def believed(raw: bytes, keys: Keys, method: str = "pay") -> Verified:
    held = {name: keys[name].public_key() for name in ("h1", "h2")}
    return open_envelope(raw, ("transfer", method), held)


def test_data_is_sorted_without_spaces_and_nulls_in_utf_8() -> None:
    data = {"trx_amount": 29, "biz_no": None, "reason": '门票 "a/b"', "Z": ""}
    assert signing.canonical(data) == '{"Z":"","reason":"门票 \\"a/b\\"","trx_amount":29}'.encode()


def test_five_lines_are_signed() -> None:
    content = signing.content("M1", "2026-01-02T03:04:05+08:00", "n1", "wealth.redeem", b'{"a":1}')
    assert content == b'M1\n2026-01-02T03:04:05+08:00\nn1\nwealth.redeem\n{"a":1}'


def test_a_request_is_an_envelope_around_what_was_signed(huijinbao_keys: Keys) -> None:
    sender = Sender("M100000001", "k1", huijinbao_keys["ours"])
    raw = sender.seal("pay", {"b": "门票", "a": 1, "c": None}, timestamp="t", nonce="n")
    sent = json.loads(raw)
    content = 'M100000001\nt\nn\npay\n{"a":1,"b":"门票"}'.encode()
    assert rsa2.verify(content, sent.pop("sign"), [huijinbao_keys["ours"].public_key()])
    assert sent == {
        "version": "2.0",
        "merchant_id": "M100000001",
        "sign_type": "RSA2",
        "key_id": "k1",
        "timestamp": "t",
        "nonce": "n",
        "data": {"a": 1, "b": "门票"},
    }
    assert '"data":{"a":1,"b":"门票"}'.encode() in raw


@pytest.mark.parametrize("key_id", ["h1", "h2"])
def test_either_key_is_believed_while_they_are_changed(
    huijinbao_keys: Keys, seal: SealAs, key_id: str
) -> None:
    said = believed(seal("pay", {"a": 1}, key_id=key_id, signed_by=key_id), huijinbao_keys)
    assert said == Verified("M100000001", "pay", "n1", {"a": 1})


def test_the_very_bytes_are_checked_however_they_are_written(
    huijinbao_keys: Keys, seal: SealAs
) -> None:
    body = '{ "z" : 1.0, "a":"\\u95e8 } \\/ {",\n"trx_amount": 29 }'
    raw = seal("pay", body)
    said = believed(raw, huijinbao_keys)
    assert (said.text("a"), said.fen("trx_amount")) == ("门 } / {", 29)
    assert (said.fen("z"), said.text("z")) == (None, "1.0")  # never a float
    with pytest.raises(Disbelieved) as disbelieved:
        believed(raw.replace(b'"trx_amount": 29', b'"trx_amount":29'), huijinbao_keys)
    assert disbelieved.value.doubt is Doubt.BAD_SIGNATURE


@pytest.mark.parametrize(
    ("changes", "doubt"),
    [
        ({"signed_by": "h2"}, Doubt.BAD_SIGNATURE),
        ({"key_id": "h2"}, Doubt.BAD_SIGNATURE),
        ({"key_id": "k1", "signed_by": "ours"}, Doubt.UNKNOWN_KEY),
        ({"sign_type": "NONE"}, Doubt.BAD_SIGNATURE),
        ({"version": "1.0"}, Doubt.BAD_SIGNATURE),
    ],
)
def test_only_a_key_that_is_named_and_held_is_believed(
    huijinbao_keys: Keys, seal: SealAs, changes: dict[str, str], doubt: Doubt
) -> None:
    with pytest.raises(Disbelieved) as disbelieved:
        believed(seal("pay", {"a": 1}, **changes), huijinbao_keys)
    assert disbelieved.value.doubt is doubt


@pytest.mark.parametrize("name", ["merchant_id", "timestamp", "nonce", "data", "sign"])
def test_whatever_is_changed_is_noticed(huijinbao_keys: Keys, seal: SealAs, name: str) -> None:
    sent: dict[str, Any] = json.loads(seal("pay", '{"a":1}'))
    other = {"a": 2} if name == "data" else f"{sent[name]}A"
    with pytest.raises(Disbelieved) as disbelieved:
        believed(json.dumps({**sent, name: other}).encode(), huijinbao_keys)
    assert disbelieved.value.doubt is Doubt.BAD_SIGNATURE


def test_an_answer_to_another_method_is_noticed(huijinbao_keys: Keys, seal: SealAs) -> None:
    with pytest.raises(Disbelieved):
        believed(seal("order.query", {"a": 1}), huijinbao_keys, method="pay")


@pytest.mark.parametrize(
    ("raw", "doubt"),
    [
        (b"", Doubt.MALFORMED),
        (b"<html>", Doubt.MALFORMED),
        (b"{}", Doubt.MALFORMED),
        (b'{"data":{}}', Doubt.UNSIGNED),
        (b'{"data":{},"sign":"x"}', Doubt.MALFORMED),
        (b'{"data":{},"data":{},"sign":"x"}', Doubt.MALFORMED),
        (b'{"data":{},"sign":7}', Doubt.MALFORMED),
    ],
)
def test_what_is_no_envelope(huijinbao_keys: Keys, raw: bytes, doubt: Doubt) -> None:
    with pytest.raises(Disbelieved) as disbelieved:
        believed(raw, huijinbao_keys)
    assert disbelieved.value.doubt is doubt


@pytest.mark.parametrize("body", ["[]", '"text"', "7", "{'a':1}"])
def test_signed_data_that_is_no_object(huijinbao_keys: Keys, seal: SealAs, body: str) -> None:
    with pytest.raises(Disbelieved) as disbelieved:
        believed(seal("pay", body), huijinbao_keys)
    assert disbelieved.value.doubt is Doubt.MALFORMED


def test_a_mac_of_ours_is_not_a_signature_of_theirs(huijinbao_keys: Keys, seal: SealAs) -> None:
    content = b'M100000001\n2026-11-21T04:30:00+08:00\nn1\npay\n{"a": 1}'
    ours = huijinbao_keys["ours"].sign(content, padding.PKCS1v15(), hashes.SHA256())
    sent = json.loads(seal("pay", {"a": 1}))
    sent["sign"] = ours.hex()
    with pytest.raises(Disbelieved):
        believed(json.dumps(sent).encode(), huijinbao_keys)
