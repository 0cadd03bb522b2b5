"""What each kind of fault does to a call of Huijinbao's interface."""

from typing import Final

from shanmen.simulators.faults import Delivery, Execution, Fault, Kind, Signature
from shanmen.simulators.huijinbao.bills import SPOILERS
from shanmen.simulators.huijinbao.methods.table import METHODS, Method
from shanmen.simulators.huijinbao.wire import CODES, FAILED, Answer

CallKind = Kind[Method, Answer]


def _coded(fault: Fault, usual: str, trans_stat: str | None) -> Answer:
    resp_code = fault.sub_code or usual
    return Answer(resp_code, trans_stat, CODES.get(resp_code, "未知的错误"))


def _system_error(fault: Fault, _method: Method, _answer: Answer) -> Answer:
    return _coded(fault, "HJB_0099", None)


def _short_balance(fault: Fault, _method: Method, _answer: Answer) -> Answer:
    return _coded(fault, "HJB_0005", FAILED)


def _throttled(fault: Fault, _method: Method, _answer: Answer) -> Answer:
    return _coded(fault, "HJB_0090", FAILED)


def _unlisted(fault: Fault, _method: Method, _answer: Answer) -> Answer:
    return _coded(fault, "HJB_7777", FAILED)


def _with_braces(_fault: Fault, _method: Method, answer: Answer) -> Answer:
    odd = answer.resp_desc + ' } {"data":{"sign":"}"}} \\'
    return Answer(answer.resp_code, answer.trans_stat, odd, answer.fields)


_MONEY: Final = frozenset(name for name, method in METHODS.items() if method.moves_money)

CALL_KINDS: Final[dict[str, CallKind]] = {
    "timeout_before": CallKind(Execution.NEVER, Delivery.SILENCE),
    "timeout_after": CallKind(delivery=Delivery.SILENCE),
    "timeout_then_applied": CallKind(Execution.LATER, Delivery.SILENCE),
    "system_error_before": CallKind(Execution.NEVER, says=_system_error),
    "system_error_after": CallKind(says=_system_error),
    "bad_signature": CallKind(signature=Signature.WRONG),
    "unsigned": CallKind(signature=Signature.NONE),
    "braces": CallKind(says=_with_braces),
    "insufficient_funds": CallKind(
        Execution.UNLESS_MONEY_MOVES, says=_short_balance, methods=_MONEY, is_for_payer=True
    ),
    "processing_then_success": CallKind(succeeds_later=True, methods=_MONEY),
    "processing_then_fail": CallKind(succeeds_later=False, methods=_MONEY),
    "throttled": CallKind(Execution.NEVER, says=_throttled),
    "slow": CallKind(),
    "down": CallKind(Execution.NEVER, Delivery.UNAVAILABLE),
    "down_cut": CallKind(Execution.NEVER, Delivery.CUT),
    "unlisted_code": CallKind(Execution.NEVER, says=_unlisted),
    "unlisted_code_after": CallKind(says=_unlisted),
} | {kind: CallKind(methods=frozenset({"bill.query"})) for kind in SPOILERS}
"""Faults around a call. `…_before`: no money moved; `…_after`: it did, and nobody is told."""
