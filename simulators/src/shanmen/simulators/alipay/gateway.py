"""`/gateway.do`: reading a call, checking its signature, answering it signed."""

import asyncio
import logging
from dataclasses import dataclass, replace
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from shanmen.simulators.alipay.channel import Channel
from shanmen.simulators.alipay.execution import Performance, find_app, perform
from shanmen.simulators.alipay.methods.call import Call
from shanmen.simulators.alipay.methods.table import METHODS, numbers_of
from shanmen.simulators.alipay.signing import request_content
from shanmen.simulators.alipay.wire import (
    CHARSETS,
    Answer,
    envelope,
    is_china_time,
    node_bytes,
    read_content,
    read_parameters,
)
from shanmen.simulators.books import Books
from shanmen.simulators.faults import Delivery, Fault, Signature
from shanmen.simulators.moments import utc_time
from shanmen.simulators.signing import verify
from shanmen.simulators.silence import instead_of_answer

logger = logging.getLogger(__name__)

_ERROR_NODE: Final = "error_response"
_REQUIRED: Final = (
    ("method", "isv.missing-method"),
    ("sign", "isv.missing-signature"),
    ("sign_type", "isv.missing-signature-type"),
    ("timestamp", "isv.missing-timestamp"),
    ("version", "isv.missing-version"),
)


class RefusedAtTheDoor(Exception):
    """A call that never reached its method. `is_signed`: whether there is somebody to sign for."""

    def __init__(self, answer: Answer, *, is_signed: bool) -> None:
        super().__init__(answer.sub_code)
        self.answer = answer
        self.is_signed = is_signed


@dataclass(frozen=True)
class Reached:
    """Where a client reached the channel, and when by the clock on the wall."""

    base_url: str
    wall_ms: int


@dataclass(frozen=True)
class Handled:
    """A call and what came of it; `number` is the business number it names."""

    method: str
    number: str | None
    performance: Performance


async def serve_gateway(request: Request) -> Response:
    """One call, in either of the two ways in which clients send it."""
    channel: Channel = request.app.state.channel
    body = await request.body()
    try:
        parameters = read_parameters(request.scope["query_string"], body)
    except UnicodeDecodeError:
        parameters = {}
    charset = CHARSETS.get(parameters.get("charset", "").lower(), "utf-8")
    reached = Reached(str(request.base_url).rstrip("/"), channel.wall_ms())
    try:
        handled = await channel.within(lambda books: _handle(books, parameters, charset, reached))
    except RefusedAtTheDoor as refused:
        _note(channel, parameters.get("method"), None, refused.answer, None)
        signature = Signature.GOOD if refused.is_signed else Signature.NONE
        return _answered(channel, _ERROR_NODE, refused.answer, charset, signature)
    performance = handled.performance
    is_answered = performance.kind.delivery is Delivery.ANSWER
    said = performance.answer if is_answered else None
    _note(channel, handled.method, handled.number, said, performance.fault)
    return await _deliver(channel, handled, charset)


def _handle(books: Books, parameters: dict[str, str], charset: str, reached: Reached) -> Handled:
    call = replace(_verified(books, parameters, charset), **vars(reached))
    numbers = numbers_of(METHODS[call.method], call)
    return Handled(call.method, numbers[0] if numbers else None, perform(books, call))


def _verified(books: Books, parameters: dict[str, str], charset: str) -> Call:
    app_id = parameters.get("app_id")
    if not app_id:
        raise RefusedAtTheDoor(_missing("isv.missing-app-id"), is_signed=False)
    app = find_app(books, app_id)
    if app is None:
        raise RefusedAtTheDoor(_invalid("isv.invalid-app-id"), is_signed=False)
    for name, sub_code in _REQUIRED:
        if not parameters.get(name):
            raise RefusedAtTheDoor(_missing(sub_code), is_signed=True)
    wrong = _first_wrong(parameters)
    if wrong is not None:
        raise RefusedAtTheDoor(_invalid(wrong), is_signed=True)
    content = request_content(parameters, charset)
    if not verify(content, parameters["sign"], app["public_key_pem"]):
        raise RefusedAtTheDoor(_invalid("isv.invalid-signature"), is_signed=True)
    method = METHODS[parameters["method"]]
    biz_content = read_content(parameters.get("biz_content", "{}"))
    if biz_content is None:
        raise RefusedAtTheDoor(
            Answer("40004", "Business Failed", method.invalid_parameter, "biz_content 不是 JSON"),
            is_signed=True,
        )
    return Call(
        method=parameters["method"],
        app=app,
        content=biz_content,
        notify_url=parameters.get("notify_url") or None,
        invalid_parameter=method.invalid_parameter,
    )


def _first_wrong(parameters: dict[str, str]) -> str | None:
    checks = (
        (parameters["sign_type"] == "RSA2", "isv.invalid-signature-type"),
        (parameters.get("charset", "").lower() in CHARSETS, "isv.invalid-charset"),
        (parameters.get("format", "JSON").upper() == "JSON", "isv.invalid-format"),
        (is_china_time(parameters["timestamp"]), "isv.invalid-timestamp"),
        (parameters["method"] in METHODS, "isv.invalid-method"),
    )
    return next((sub_code for is_right, sub_code in checks if not is_right), None)


def _missing(sub_code: str) -> Answer:
    return Answer("40001", "Missing Required Arguments", sub_code, "缺少必选参数")


def _invalid(sub_code: str) -> Answer:
    return Answer("40002", "Invalid Arguments", sub_code, "非法的参数")


def _note(
    channel: Channel,
    method: str | None,
    number: str | None,
    answer: Answer | None,
    fault: Fault | None,
) -> None:
    """Keep a line of this call, in memory and in the log. Nothing secret is in it."""
    kind = None if fault is None else fault.kind
    code, sub_code = (None, None) if answer is None else (answer.code, answer.sub_code)
    channel.recent_calls.append(
        {
            "at": utc_time(channel.now_ms()),
            "method": method,
            "number": number,
            "code": code,
            "sub_code": sub_code,
            "fault": kind,
        }
    )
    logger.info(
        "%s %s -> %s %s%s",
        method,
        number,
        code,
        sub_code or "",
        "" if kind is None else f" [{kind}]",
    )


async def _deliver(channel: Channel, handled: Handled, charset: str) -> Response:
    kind, fault = handled.performance.kind, handled.performance.fault
    if fault is not None and fault.delay_ms is not None and kind.delays_answer:
        await asyncio.sleep(fault.delay_ms / 1000)
    withheld = instead_of_answer(kind.delivery, fault)
    if withheld is not None:
        return withheld
    node_name = handled.method.replace(".", "_") + "_response"
    return _answered(channel, node_name, handled.performance.answer, charset, kind.signature)


def _answered(
    channel: Channel, node_name: str, answer: Answer, charset: str, signature: Signature
) -> Response:
    node = node_bytes(answer, charset)
    signed = None
    if signature is not Signature.NONE:
        signed = channel.key.sign(node if signature is Signature.GOOD else node + b" ")
    return Response(
        envelope(node_name, node, signed), headers={"content-type": f"text/html;charset={charset}"}
    )
