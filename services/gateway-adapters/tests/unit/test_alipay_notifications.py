"""Notifications: a believed one is exactly what Alipay signed, for us."""

import base64
import json
import random
from urllib.parse import parse_qsl, quote_plus, urlencode

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from shanmen.gateway_adapters.providers.alipay import notifications
from shanmen.gateway_adapters.providers.alipay.certificates import TrustedKeys
from shanmen.gateway_adapters.providers.base import Notification, NotificationRefused

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER = rsa.generate_private_key(public_exponent=65537, key_size=2048)
TRUSTED = TrustedKeys(plain=KEY.public_key())
SELLER = "2088000000000001"

TRADE = {
    "notify_time": "2026-11-20 10:00:00",
    "notify_type": "trade_status_sync",
    "notify_id": "n1",
    "app_id": "2021",
    "charset": "utf-8",
    "version": "1.0",
    "trade_no": "T1",
    "out_trade_no": "D1",
    "seller_id": SELLER,
    "trade_status": "TRADE_SUCCESS",
    "total_amount": "88.88",
    "subject": "黄山 门票 + {}",
    "body": "",
    "fund_bill_list": '[{"amount":"88.88","fundChannel":"ALIPAYACCOUNT"}]',
}
TRANSFER = {
    "notify_id": "n2",
    "utc_timestamp": "1760000000000",
    "msg_method": "alipay.fund.trans.order.changed",
    "app_id": "2021",
    "version": "1.1",
    "charset": "utf-8",
    "biz_content": json.dumps(
        {"out_biz_no": "P1", "order_id": "O1", "status": "SUCCESS", "trans_amount": "12.30"}
    ),
}


def signed(params: dict[str, str], key: rsa.RSAPrivateKey = KEY) -> bytes:
    """Sign and encode a notification as Alipay does; written apart from the code under test."""
    content = "&".join(f"{name}={params[name]}" for name in sorted(params))
    signature = key.sign(content.encode(), padding.PKCS1v15(), hashes.SHA256())
    form = {**params, "sign_type": "RSA2", "sign": base64.b64encode(signature).decode()}
    return urlencode(form).encode()


def read(body: bytes, seller_id: str | None = None) -> Notification:
    return notifications.read(body, keys=TRUSTED, app_id="2021", seller_id=seller_id)


def refusal(body: bytes, seller_id: str | None = None) -> str:
    with pytest.raises(NotificationRefused) as refused:
        read(body, seller_id)
    return refused.value.code


def test_a_trade_notification() -> None:
    assert read(signed(TRADE)) == Notification("n1", "D1", "TRADE_SUCCESS", 8_888)
    assert read(signed(TRADE), SELLER).number == "D1"


def test_a_refund_notification_is_about_the_refund() -> None:
    refunded = {
        **TRADE,
        "out_biz_no": "R1",
        "refund_fee": "88.88",
        "gmt_refund": "2026-11-21 10:00:00.123",
    }
    assert read(signed(refunded)) == Notification("n1", "R1", "TRADE_SUCCESS", None)
    assert read(signed({**refunded, "out_biz_no": ""})).number == "D1"


def test_a_transfer_notification() -> None:
    assert read(signed(TRANSFER)) == Notification("n2", "P1", "SUCCESS", 1_230)
    failed = json.dumps({"out_biz_no": "P1", "status": "FAIL", "error_code": "X"})
    assert read(signed({**TRANSFER, "biz_content": failed})) == Notification(
        "n2", "P1", "FAIL", None
    )


def test_the_acknowledgement_is_seven_bytes() -> None:
    assert notifications.ACKNOWLEDGEMENT == b"success"


def test_another_key_another_app_and_another_seller_are_refused() -> None:
    assert refusal(signed(TRADE, OTHER)) == "bad_signature"
    assert refusal(signed({**TRADE, "app_id": "2022"})) == "foreign_app"
    assert refusal(signed({k: v for k, v in TRADE.items() if k != "app_id"})) == "foreign_app"
    assert refusal(signed(TRADE), "2088000000000002") == "foreign_app"
    unsold = {k: v for k, v in TRADE.items() if k != "seller_id"}
    assert refusal(signed(unsold), SELLER) == "foreign_app"
    assert read(signed(TRANSFER), SELLER).number == "P1"  # has no seller


def test_no_key_believes_nothing() -> None:
    with pytest.raises(NotificationRefused) as refused:
        notifications.read(signed(TRADE), keys=TrustedKeys(), app_id="2021")
    assert refused.value.code == "bad_signature"


def test_a_certificate_that_is_named_must_be_ours() -> None:
    trusted = TrustedKeys(by_certificate={"ours": KEY.public_key()})
    for params, believed in (
        (TRADE, True),
        ({**TRADE, "alipay_cert_sn": "ours"}, True),
        ({**TRADE, "alipay_cert_sn": "theirs"}, False),
    ):
        body = signed(params)
        if believed:
            assert notifications.read(body, keys=trusted, app_id="2021").number == "D1"
        else:
            with pytest.raises(NotificationRefused):
                notifications.read(body, keys=trusted, app_id="2021")


@pytest.mark.parametrize(
    "params",
    [
        {**TRADE, "notify_type": "dut_user_sign"},
        {**TRADE, "out_trade_no": ""},
        {**TRADE, "notify_id": ""},
        {**TRADE, "total_amount": "much"},
        {**TRADE, "trade_status": ""},
        {**TRANSFER, "biz_content": "{"},
        {**TRANSFER, "biz_content": "[]"},
        {**TRANSFER, "biz_content": '{"out_biz_no":{"a":1},"status":"SUCCESS"}'},
        {**TRANSFER, "biz_content": "[" * 20_000},
    ],
)
def test_a_signed_notification_that_says_too_little_is_malformed(params: dict[str, str]) -> None:
    assert refusal(signed(params)) == "malformed"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"success",
        b"a=1&a=2",
        b"=1",
        b"\xff\xfe=\x00",
        b"x" * (notifications.BODY_LIMIT_BYTES + 1),
        signed(TRADE) + b"&app_id=2021",
        signed(TRADE) + b"&",
    ],
)
def test_what_is_no_form_is_refused(body: bytes) -> None:
    assert refusal(body) in {"malformed", "bad_signature"}


def test_bytes_that_are_not_text_are_refused_after_their_signature_was_checked() -> None:
    raw = signed(TRADE).replace(quote_plus("黄山").encode(), quote_plus(b"\xff\xfe").encode())
    assert refusal(raw) == "bad_signature"
    content = b"app_id=2021&body=\xff&notify_type=trade_status_sync"
    signature = base64.b64encode(KEY.sign(content, padding.PKCS1v15(), hashes.SHA256())).decode()
    body = (
        content.replace(b"\xff", b"%FF") + f"&sign_type=RSA2&sign={quote_plus(signature)}".encode()
    )
    assert refusal(body) == "malformed"


@pytest.mark.parametrize("sign_type", ["RSA", "", "rsa2", "NONE"])
def test_another_kind_of_signature_is_refused(sign_type: str) -> None:
    body = signed(TRADE).replace(b"sign_type=RSA2", f"sign_type={sign_type}".encode())
    assert refusal(body) == "bad_signature"


@pytest.mark.parametrize("params", [TRADE, TRANSFER], ids=["trade", "transfer"])
def test_no_mutation_of_a_byte_is_believed(params: dict[str, str]) -> None:
    body = signed(params)
    same = dict(parse_qsl(body.decode(), keep_blank_values=True))
    chance = random.Random(20_261_120)  # noqa: S311 - repeatable mutations
    refused = 0
    for number in range(3_000):
        position = number % len(body) if number < len(body) else chance.randrange(len(body))
        byte = chance.choice([b for b in range(256) if b != body[position]])
        mutated = body[:position] + bytes([byte]) + body[position + 1 :]
        try:
            read(mutated)
        except NotificationRefused:
            refused += 1
        else:  # only the spelling of the same form may differ, such as %2b for %2B
            assert dict(parse_qsl(mutated.decode(), keep_blank_values=True)) == same
    assert refused > 2_900


@pytest.mark.parametrize("name", sorted(TRADE))
def test_no_field_can_be_changed_dropped_or_added(name: str) -> None:
    form = dict(parse_qsl(signed(TRADE).decode(), keep_blank_values=True))
    assert refusal(urlencode({**form, name: form[name] + "1"}).encode()) == "bad_signature"
    dropped = {key: value for key, value in form.items() if key != name}
    assert refusal(urlencode(dropped).encode()) == "bad_signature"
    assert refusal(urlencode({**form, "z" + name: "1"}).encode()) == "bad_signature"
