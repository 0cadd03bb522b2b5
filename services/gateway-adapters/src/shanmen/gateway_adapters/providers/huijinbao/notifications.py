"""Reading what Huijinbao posts to us. A notification is believed by its signature alone."""

from collections.abc import Mapping
from typing import Final

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from shanmen.gateway_adapters.domain.operations import OperationKind
from shanmen.gateway_adapters.providers.base import Notification, NotificationRefused
from shanmen.gateway_adapters.providers.calls import Doubt
from shanmen.gateway_adapters.providers.huijinbao.biz import BIZ_TYPES
from shanmen.gateway_adapters.providers.huijinbao.envelope import (
    Disbelieved,
    Verified,
    open_envelope,
)

BODY_LIMIT_BYTES: Final = 64 * 1024

_EVENTS: Final = tuple(BIZ_TYPES.values())
"""What stands in the place of the method in a notification's signature."""


def read(body: bytes, *, keys: Mapping[str, RSAPublicKey], merchant_id: str) -> Notification:
    """Verify a notification's signature and addressee and read it. Raises NotificationRefused."""
    if len(body) > BODY_LIMIT_BYTES:
        raise NotificationRefused("malformed", f"longer than {BODY_LIMIT_BYTES} bytes")
    try:
        said = open_envelope(body, _EVENTS, keys)
    except Disbelieved as error:
        code = "malformed" if error.doubt is Doubt.MALFORMED else "bad_signature"
        raise NotificationRefused(code, str(error)) from error
    if said.merchant_id != merchant_id:
        raise NotificationRefused("foreign_app", "the notification is for another merchant")
    event = said.method
    number, status = _required(said, "req_seq_id"), _required(said, "trans_stat")
    return Notification(
        # It comes again under another nonce: the same news is the same notification.
        notification_id=f"{event}:{number}:{status}",
        number=number,
        status=status,
        # How much was liquidated nobody has said before.
        amount_fen=None if event == BIZ_TYPES[OperationKind.LIQUIDATE] else _amount(said),
    )


def acknowledgement(notification: Notification) -> bytes:
    """The exact bytes that stop the resending."""
    return f"RECV_OK_{notification.number}".encode()


def _amount(said: Verified) -> int:
    amount_fen = said.fen("trx_amount")
    if amount_fen is None:
        raise NotificationRefused("malformed", "the notification has no trx_amount")
    return amount_fen


def _required(said: Verified, name: str) -> str:
    value = said.text(name)
    if not value:
        raise NotificationRefused("malformed", f"the notification has no {name}")
    return value
