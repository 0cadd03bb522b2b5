"""`/hjb/v2/{method}`: reading a call, checking its signature, answering it signed."""

import asyncio
import json
import logging
from dataclasses import dataclass
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from shanmen.simulators.books import Books
from shanmen.simulators.faults import Fault, Signature
from shanmen.simulators.huijinbao.channel import Channel
from shanmen.simulators.huijinbao.execution import Performance, find_merchant, perform
from shanmen.simulators.huijinbao.methods.call import Call, read_moment_ms
from shanmen.simulators.huijinbao.methods.table import METHODS, numbers_of
from shanmen.simulators.huijinbao.signing import canonical, signed_text
from shanmen.simulators.huijinbao.wire import Answer, Refusal, data_bytes, envelope
from shanmen.simulators.moments import china_rfc3339, utc_time
from shanmen.simulators.signing import verify
from shanmen.simulators.silence import instead_of_answer

logger = logging.getLogger(__name__)

_HEAD: Final = ("version", "merchant_id", "sign_type", "key_id", "timestamp", "nonce")
_MAX_SKEW_MS: Final = 300_000
_NONCE_KEPT_MS: Final = 600_000
_MAX_NONCE_LENGTH: Final = 128


@dataclass(frozen=True)
class Envelope:
    """A call as it came; `head` lacks what was not sent."""

    method: str
    head: dict[str, str]
    data: dict[str, Any]
    signature: str


@dataclass(frozen=True)
class Reply:
    """What an answer's envelope repeats of the call, and its time."""

    merchant_id: str
    nonce: str
    method: str
    at_ms: int


@dataclass(frozen=True)
class Handled:
    """A verified call and what came of it; `number` is the business number it names."""

    number: str | None
    performance: Performance
    at_ms: int


class RefusedAtTheDoor(Exception):
    """A call that never reached its method. `is_signed`: whether there is somebody to sign for."""

    def __init__(self, refusal: Refusal, *, is_signed: bool) -> None:
        super().__init__(str(refusal))
        self.answer = refusal.answer
        self.is_signed = is_signed


async def serve_gateway(request: Request) -> Response:
    """One call."""
    channel: Channel = request.app.state.channel
    method = request.path_params["method"]
    came = _read(method, await request.body())
    reply = Reply(
        came.head.get("merchant_id", ""), came.head.get("nonce", ""), method, channel.wall_ms()
    )
    base_url = str(request.base_url).rstrip("/")
    try:
        handled = await channel.within(
            lambda books: _handle(books, came, base_url, channel.wall_ms())
        )
    except RefusedAtTheDoor as refused:
        _note(channel, method, None, refused.answer, None)
        signature = Signature.GOOD if refused.is_signed else Signature.NONE
        return _answered(channel, reply, refused.answer, signature)
    kind, fault = handled.performance.kind, handled.performance.fault
    withheld = instead_of_answer(kind.delivery, fault)
    said = handled.performance.answer if withheld is None else None
    _note(channel, method, handled.number, said, fault)
    if fault is not None and fault.delay_ms is not None and kind.delays_answer:
        await asyncio.sleep(fault.delay_ms / 1000)
    if withheld is not None:
        return withheld
    reply = Reply(reply.merchant_id, reply.nonce, method, handled.at_ms)
    return _answered(channel, reply, handled.performance.answer, kind.signature)


def _read(method: str, body: bytes) -> Envelope:
    """The envelope of a call, as far as it is one; what cannot be signed is none."""
    try:
        sent = json.loads(body)
        fields = sent if isinstance(sent, dict) else {}
        canonical(fields)
    except (ValueError, RecursionError):
        fields = {}
    head = {name: fields[name] for name in _HEAD if isinstance(fields.get(name), str)}
    data, signature = fields.get("data"), fields.get("sign")
    return Envelope(
        method,
        head,
        data if isinstance(data, dict) else {},
        signature if isinstance(signature, str) else "",
    )


def _handle(books: Books, came: Envelope, base_url: str, wall_ms: int) -> Handled:
    merchant = find_merchant(books, came.head.get("merchant_id", ""))
    if merchant is None:
        raise RefusedAtTheDoor(Refusal("HJB_0098", "merchant_id is unknown"), is_signed=False)
    try:
        at_ms = _verify(books, came, wall_ms)
    except Refusal as refusal:
        raise RefusedAtTheDoor(refusal, is_signed=True) from None
    call = Call(came.method, merchant, came.data, base_url, wall_ms)
    numbers = numbers_of(METHODS[call.method], call)
    return Handled(numbers[0] if numbers else None, perform(books, call), at_ms)


def _verify(books: Books, came: Envelope, wall_ms: int) -> int:
    """Check a call's envelope; the present moment of the clock that its sender goes by."""
    missing = [name for name in _HEAD if not came.head.get(name)]
    if missing:
        raise Refusal("HJB_0001", ", ".join(missing))
    head = came.head
    if (head["version"], head["sign_type"]) != ("2.0", "RSA2"):
        raise Refusal("HJB_0006", "version must be 2.0 and sign_type RSA2")
    if came.method not in METHODS:
        raise Refusal("HJB_0006", f"there is no method {came.method}")
    key = books.row(
        "SELECT * FROM merchant_keys WHERE merchant_id = ? AND key_id = ?",
        head["merchant_id"],
        head["key_id"],
    )
    text = signed_text(
        merchant_id=head["merchant_id"],
        timestamp=head["timestamp"],
        nonce=head["nonce"],
        method=came.method,
        data=canonical(came.data),
    )
    if key is None or not verify(text, came.signature, key["public_key_pem"]):
        raise Refusal("HJB_0098", "the signature or its key_id is wrong")
    at_ms = _senders_clock_ms(head["timestamp"], (wall_ms, books.now_ms))
    _use_nonce(books, head["merchant_id"], head["nonce"], wall_ms)
    return at_ms


def _senders_clock_ms(timestamp: str, clocks_ms: tuple[int, ...]) -> int:
    """The clock that the timestamp fits: the one on the wall, the channel's moved one, or one on
    the way between: senders follow a moved clock a moment later."""
    sent_ms = read_moment_ms(timestamp)
    if sent_ms is None:
        raise Refusal("HJB_0006", "timestamp must be RFC 3339 with its zone")
    for clock_ms in clocks_ms:
        if abs(clock_ms - sent_ms) <= _MAX_SKEW_MS:
            return clock_ms
    if min(clocks_ms) <= sent_ms <= max(clocks_ms):
        return sent_ms
    raise Refusal("HJB_0098", "timestamp is more than 300 s off")


def _use_nonce(books: Books, merchant_id: str, nonce: str, wall_ms: int) -> None:
    if len(nonce) > _MAX_NONCE_LENGTH:
        raise Refusal("HJB_0006", f"nonce has more than {_MAX_NONCE_LENGTH} characters")
    books.write("DELETE FROM nonces WHERE used_ms <= ?", wall_ms - _NONCE_KEPT_MS)
    is_new = books.write(
        "INSERT OR IGNORE INTO nonces VALUES (?, ?, ?)", merchant_id, nonce, wall_ms
    )
    if not is_new:
        raise Refusal("HJB_0098", "nonce was used already")


def _note(
    channel: Channel, method: str, number: str | None, answer: Answer | None, fault: Fault | None
) -> None:
    """Keep a line of this call, in memory and in the log. Nothing secret is in it."""
    kind = None if fault is None else fault.kind
    code, trans_stat = (None, None) if answer is None else (answer.resp_code, answer.trans_stat)
    channel.recent_calls.append(
        {
            "at": utc_time(channel.now_ms()),
            "method": method,
            "number": number,
            "code": code,
            "trans_stat": trans_stat,
            "fault": kind,
        }
    )
    logger.info("%s %s -> %s %s [%s]", method, number, code, trans_stat, kind or "no fault")


def _answered(channel: Channel, reply: Reply, answer: Answer, signature: Signature) -> Response:
    data = data_bytes(answer.data())
    head = {
        "version": "2.0",
        "merchant_id": reply.merchant_id,
        "sign_type": "RSA2",
        "key_id": channel.keys.current_id,
        "timestamp": china_rfc3339(reply.at_ms),
        "nonce": reply.nonce,
    }
    signed = None
    if signature is not Signature.NONE:
        text = signed_text(
            merchant_id=reply.merchant_id,
            timestamp=head["timestamp"],
            nonce=reply.nonce,
            method=reply.method,
            data=data if signature is Signature.GOOD else data + b" ",
        )
        signed = channel.keys.current.sign(text)
    return Response(envelope(head, data, signed), media_type="application/json")
