"""Signatures, against the community SDK (`python-alipay-sdk`) as an independent reading."""

import json

import pytest
from alipay import AliPay
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from shanmen.gateway_adapters.providers import envelope, rsa2
from shanmen.gateway_adapters.providers.alipay import signing
from shanmen.gateway_adapters.providers.rsa2 import UnusableKey

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PKCS1 = KEY.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()
PKCS8 = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
PUBLIC = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
PUBLIC_PKCS1 = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.PKCS1).decode()
SDK = AliPay(appid="2021", app_private_key_string=PKCS1, alipay_public_key_string=PUBLIC)


def bare(pem: str) -> str:
    return "".join(line for line in pem.splitlines() if not line.startswith("-----"))


@pytest.mark.parametrize(
    "text",
    [PKCS1, PKCS8, bare(PKCS1), bare(PKCS8), f"\n  {PKCS8}  \n"],
    ids=["pkcs1", "pkcs8", "bare pkcs1", "bare pkcs8", "space around"],
)
def test_a_private_key_is_read_in_every_form_that_the_console_gives(text: str) -> None:
    assert rsa2.load_private_key(text).private_numbers() == KEY.private_numbers()


@pytest.mark.parametrize(
    "text", [PUBLIC, PUBLIC_PKCS1, bare(PUBLIC), bare(PUBLIC_PKCS1)], ids=range(4)
)
def test_a_public_key_is_read_in_every_form(text: str) -> None:
    expected = KEY.public_key().public_numbers()
    assert rsa2.load_public_key(text).public_numbers() == expected


def test_a_weak_foreign_or_broken_key_is_refused_without_showing_it() -> None:
    weak = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 - the point
    weak_pem = weak.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    for text in (weak_pem, "not a key at all", "", bare(PKCS8)[:-40], PUBLIC):
        with pytest.raises(UnusableKey) as refusal:
            rsa2.load_private_key(text)
        assert bare(text)[:20] not in str(refusal.value) or not text
    with pytest.raises(UnusableKey):
        rsa2.load_public_key(PKCS8)


def test_the_request_content_is_sorted_raw_and_without_sign_and_empties() -> None:
    params = {
        "sign_type": "RSA2",
        "app_id": "2021",
        "sign": "x",
        "notify_url": "",
        "biz_content": '{"subject":"门票 a&b=c"}',
        "Zed": "1",
    }
    assert (
        signing.request_content(params).decode()
        == 'Zed=1&app_id=2021&biz_content={"subject":"门票 a&b=c"}&sign_type=RSA2'
    )


def test_the_notification_content_keeps_blanks_and_drops_sign_type() -> None:
    params = {b"b": b"", b"sign": b"x", b"sign_type": b"RSA2", b"a": b"\xc3\xa9"}
    assert signing.notification_content(params) == b"a=\xc3\xa9&b="


def test_our_signature_of_a_request_is_theirs() -> None:
    params = {
        "app_id": "2021",
        "method": "alipay.trade.query",
        "charset": "utf-8",
        "sign_type": "RSA2",
        "timestamp": "2026-11-20 10:00:00",
        "version": "1.0",
        "biz_content": '{"out_trade_no":"D1","subject":"门票"}',
    }
    theirs = SDK._sign("&".join(f"{key}={value}" for key, value in sorted(params.items())))
    assert rsa2.sign(signing.request_content(params), KEY) == theirs
    assert SDK.verify({**params, "sign_type": "RSA2"}, theirs) is False  # theirs drops sign_type


def test_we_accept_their_signature_of_a_notification() -> None:
    form = {"app_id": "2021", "trade_status": "TRADE_SUCCESS", "body": ""}
    theirs = SDK._sign("&".join(f"{key}={value}" for key, value in sorted(form.items())))
    content = signing.notification_content(
        {key.encode(): value.encode() for key, value in {**form, "sign": theirs}.items()}
    )
    assert rsa2.verify(content, theirs, [KEY.public_key()])
    assert SDK.verify(dict(form), rsa2.sign(content, KEY))


def test_an_answer_with_a_brace_in_a_string_is_ours_to_read_and_not_theirs() -> None:
    node = b'{"code":"10000","subject":"a } and a { and a \\" }"}'
    answer = b'{"alipay_trade_query_response":%s,"sign":"%s"}' % (
        node,
        rsa2.sign(node, KEY).encode(),
    )
    members = envelope.split_members(answer)
    assert members["alipay_trade_query_response"] == node
    assert signing.verify_answer(
        members["alipay_trade_query_response"],
        json.loads(members["sign"]),
        [KEY.public_key()],
    )
    theirs = SDK._get_string_to_be_signed(answer.decode(), "alipay_trade_query_response")
    assert theirs.encode() != node


def test_an_answer_signed_before_its_slashes_were_escaped_is_accepted() -> None:
    signed = b'{"url":"https://a/b"}'
    sent = b'{"url":"https:\\/\\/a\\/b"}'
    signature = rsa2.sign(signed, KEY)
    assert signing.verify_answer(sent, signature, [KEY.public_key()])
    assert not rsa2.verify(sent, signature, [KEY.public_key()])
    assert not signing.verify_answer(sent + b" ", signature, [KEY.public_key()])


def test_nothing_is_believed_without_the_right_key_and_the_one_spelling() -> None:
    content = b"a=1"
    signature = rsa2.sign(content, KEY)
    assert rsa2.verify(content, signature, [OTHER.public_key(), KEY.public_key()])
    assert not rsa2.verify(content, signature, [OTHER.public_key()])
    assert not rsa2.verify(content, signature, [])
    # "==" leaves four bits of the last letter unused: 15 other spellings decode to the same bytes.
    position = signature.index("=") - 1
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    for letter in alphabet.replace(signature[position], ""):
        other = signature[:position] + letter + signature[position + 1 :]
        assert not rsa2.verify(content, other, [KEY.public_key()])
    for broken in ("", "=", signature + "\n", signature[:-4], "签名"):
        assert not rsa2.verify(content, broken, [KEY.public_key()])
