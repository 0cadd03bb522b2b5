"""Notifications: a believed one is exactly what Huijinbao signed, for us."""

from collections.abc import Callable, Mapping

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from shanmen.gateway_adapters.providers.base import Notification, NotificationRefused
from shanmen.gateway_adapters.providers.huijinbao import notifications

SealAs = Callable[..., bytes]
Keys = Mapping[str, rsa.RSAPrivateKey]
PAID = {
    "event": "pay",
    "req_seq_id": "deb_1",
    "hjb_seq_id": "H1",
    "trans_stat": "S",
    "trx_amount": 8_888,
}


@pytest.fixture
def read(huijinbao_keys: Keys) -> Callable[[bytes], Notification]:
    keys = {"h1": huijinbao_keys["h1"].public_key()}
    return lambda body: notifications.read(body, keys=keys, merchant_id="M100000001")


@pytest.mark.parametrize(
    "event", ["pay", "transfer", "refund", "subscribe", "redeem", "liquidate"]
)
def test_each_event_names_our_number_and_amount(
    read: Callable[[bytes], Notification], seal: SealAs, event: str
) -> None:
    notification = read(seal(event, {**PAID, "event": event}))
    # What is liquidated is all there is: no amount was asked for.
    expected = None if event == "liquidate" else 8_888
    assert notification == Notification(f"{event}:deb_1:S", "deb_1", "S", expected)
    assert notifications.acknowledgement(notification) == b"RECV_OK_deb_1"


def test_the_same_news_again_is_the_same_notification(
    read: Callable[[bytes], Notification], seal: SealAs
) -> None:
    again = read(seal("pay", PAID, nonce="n2", timestamp="2026-11-21T04:31:00+08:00"))
    assert again == read(seal("pay", PAID))
    assert read(seal("pay", {**PAID, "trans_stat": "F"})) != again


@pytest.mark.parametrize(
    ("data", "changes", "code"),
    [
        (PAID, {"signed_by": "ours"}, "bad_signature"),
        (PAID, {"key_id": "h2", "signed_by": "h2"}, "bad_signature"),
        (PAID, {"merchant_id": "M2"}, "foreign_app"),
        ({**PAID, "req_seq_id": ""}, {}, "malformed"),
        ({**PAID, "trans_stat": None}, {}, "malformed"),
        ({**PAID, "trx_amount": "88.88"}, {}, "malformed"),
    ],
)
def test_what_is_not_believed(
    read: Callable[[bytes], Notification],
    seal: SealAs,
    data: dict[str, object],
    changes: dict[str, str],
    code: str,
) -> None:
    with pytest.raises(NotificationRefused) as refused:
        read(seal("pay", data, **changes))
    assert refused.value.code == code


@pytest.mark.parametrize("body", [b"", b"event=pay", b"{" * 70_000, b"[]", b"\xff\xfe"])
def test_what_is_no_notification(read: Callable[[bytes], Notification], body: bytes) -> None:
    with pytest.raises(NotificationRefused) as refused:
        read(body)
    assert refused.value.code == "malformed"


@pytest.mark.parametrize("method", ["notify", "account", "order.query", "PAY"])
def test_what_is_signed_as_something_else_is_no_notification(
    read: Callable[[bytes], Notification], seal: SealAs, method: str
) -> None:
    with pytest.raises(NotificationRefused) as refused:
        read(seal(method, PAID))
    assert refused.value.code == "bad_signature"
