"""Reading what Alipay posts to us. A notification is believed by its signature alone.

Two kinds concern money: a trade changed (`notify_type=trade_status_sync`), and a transfer changed
(`msg_method=alipay.fund.trans.order.changed`).
"""

import json
from typing import Final
from urllib.parse import unquote_to_bytes

from shanmen.common.money import from_yuan
from shanmen.gateway_adapters.providers import rsa2
from shanmen.gateway_adapters.providers.alipay import signing
from shanmen.gateway_adapters.providers.alipay.certificates import TrustedKeys
from shanmen.gateway_adapters.providers.base import Notification, NotificationRefused

ACKNOWLEDGEMENT: Final = b"success"
"""Exactly these seven bytes stop the resending."""

BODY_LIMIT_BYTES: Final = 64 * 1024
_TRADE_CHANGED: Final = "trade_status_sync"
_TRANSFER_CHANGED: Final = "alipay.fund.trans.order.changed"


def read(
    body: bytes, *, keys: TrustedKeys, app_id: str, seller_id: str | None = None
) -> Notification:
    """Verify a notification's signature and addressee and read it.

    The signature is checked over the bytes of the form before any of them is decoded as text.
    Raises NotificationRefused.
    """
    form = _parse_form(body)
    _check_signature(form, keys)
    try:
        params = {key.decode(): value.decode() for key, value in form.items()}
    except UnicodeDecodeError as error:
        raise NotificationRefused("malformed", "the notification is not in UTF-8") from error
    if params.get("app_id") != app_id:
        raise NotificationRefused("foreign_app", "the notification is for another application")
    if params.get("notify_type") == _TRADE_CHANGED:
        return _trade(params, seller_id)
    if params.get("msg_method") == _TRANSFER_CHANGED:
        return _transfer(params)
    raise NotificationRefused("malformed", "the notification is about no trade and no transfer")


def _parse_form(body: bytes) -> dict[bytes, bytes]:
    """Split and percent-decode a form, blank values kept; a name may come once."""
    if len(body) > BODY_LIMIT_BYTES:
        raise NotificationRefused("malformed", f"longer than {BODY_LIMIT_BYTES} bytes")
    form: dict[bytes, bytes] = {}
    for pair in body.split(b"&"):
        name, equals, value = (
            unquote_to_bytes(p.replace(b"+", b" ")) for p in pair.partition(b"=")
        )
        if not name or not equals or name in form:
            raise NotificationRefused("malformed", "not a form with distinct names")
        form[name] = value
    return form


def _check_signature(form: dict[bytes, bytes], keys: TrustedKeys) -> None:
    signature = form.get(b"sign", b"").decode("ascii", "replace")
    certificate_sn = form.get(b"alipay_cert_sn")
    candidates = keys.for_notification(
        None if certificate_sn is None else certificate_sn.decode("ascii", "replace")
    )
    content = signing.notification_content(form)
    signed_as = form.get(b"sign_type")
    if signed_as != rsa2.SIGN_TYPE.encode() or not rsa2.verify(content, signature, candidates):
        raise NotificationRefused("bad_signature", "the signature does not match the notification")


def _trade(params: dict[str, str], seller_id: str | None) -> Notification:
    """A trade changed. One that tells of a refund is about the refund's own number."""
    if seller_id is not None and params.get("seller_id") != seller_id:
        raise NotificationRefused("foreign_app", "the notification is for another seller")
    is_refund = bool(params.get("gmt_refund")) and bool(params.get("out_biz_no"))
    return Notification(
        notification_id=_required(params, "notify_id"),
        number=_required(params, "out_biz_no" if is_refund else "out_trade_no"),
        status=_required(params, "trade_status"),
        # What a refund notification names is the sum of all refunds of the trade.
        amount_fen=None if is_refund else _amount(_required(params, "total_amount")),
    )


def _transfer(params: dict[str, str]) -> Notification:
    try:
        content = json.loads(_required(params, "biz_content"), parse_float=str, parse_int=str)
    except (ValueError, RecursionError) as error:
        raise NotificationRefused("malformed", "biz_content is not JSON") from error
    if not isinstance(content, dict):
        raise NotificationRefused("malformed", "biz_content is not an object")
    fields = {name: value for name, value in content.items() if isinstance(value, str)}
    amount = fields.get("trans_amount")
    return Notification(
        notification_id=_required(params, "notify_id"),
        number=_required(fields, "out_biz_no"),
        status=_required(fields, "status"),
        amount_fen=_amount(amount) if amount else None,
    )


def _required(fields: dict[str, str], name: str) -> str:
    value = fields.get(name)
    if not value:
        raise NotificationRefused("malformed", f"the notification has no {name}")
    return value


def _amount(text: str) -> int:
    try:
        return from_yuan(text)
    except ValueError as error:
        raise NotificationRefused("malformed", f"not an amount: {text!r}") from error
