"""What each kind of fault does to a call of Alipay's gateway."""

from typing import Final

from shanmen.simulators.alipay.bills.spoilers import SPOILERS
from shanmen.simulators.alipay.methods.table import BILL_METHOD, Method
from shanmen.simulators.alipay.wire import Answer
from shanmen.simulators.faults import Delivery, Execution, Fault, Kind, Signature

CallKind = Kind[Method, Answer]


def _unavailable(fault: Fault, _method: Method, _answer: Answer) -> Answer:
    return Answer(
        "20000",
        "Service Currently Unavailable",
        fault.sub_code or "isp.unknow-error",
        "系统繁忙",
    )


def _system_error(fault: Fault, method: Method, _answer: Answer) -> Answer:
    return Answer("40004", "Business Failed", fault.sub_code or method.system_error, "系统错误")


def _short_balance(_fault: Fault, method: Method, _answer: Answer) -> Answer:
    return Answer("40004", "Business Failed", method.short_balance, "余额不足")


def _throttled(fault: Fault, _method: Method, _answer: Answer) -> Answer:
    return Answer(
        "40005", "Call Limited", fault.sub_code or "isv.app-call-limited", "调用频次超限"
    )


def _unlisted(fault: Fault, _method: Method, _answer: Answer) -> Answer:
    return Answer(
        "40004", "Business Failed", fault.sub_code or "NOBODY_KNOWS_THIS_CODE", "未知的错误"
    )


def _with_braces(_fault: Fault, _method: Method, answer: Answer) -> Answer:
    odd = answer.msg + ' } {"inner":"}"} \\'
    return Answer(answer.code, odd, answer.sub_code, answer.sub_msg, answer.fields)


_TRANSFER: Final = frozenset({"alipay.fund.trans.uni.transfer"})
_PAY: Final = frozenset({"alipay.trade.pay"})
_SPENDING: Final = _TRANSFER | _PAY | {"alipay.trade.refund", "alipay.trade.cancel"}

CALL_KINDS: Final[dict[str, CallKind]] = {
    "timeout_before": CallKind(Execution.NEVER, Delivery.SILENCE),
    "timeout_after": CallKind(delivery=Delivery.SILENCE),
    "timeout_then_applied": CallKind(Execution.LATER, Delivery.SILENCE),
    "error_20000_before": CallKind(Execution.NEVER, says=_unavailable),
    "error_20000_after": CallKind(says=_unavailable),
    "system_error_before": CallKind(Execution.NEVER, says=_system_error),
    "system_error_after": CallKind(says=_system_error),
    "bad_signature": CallKind(signature=Signature.WRONG),
    "unsigned": CallKind(signature=Signature.NONE),
    "braces": CallKind(says=_with_braces),
    "insufficient_funds": CallKind(
        Execution.UNLESS_MONEY_MOVES, says=_short_balance, methods=_SPENDING, is_for_payer=True
    ),
    "dealing_then_success": CallKind(succeeds_later=True, methods=_TRANSFER),
    "dealing_then_fail": CallKind(succeeds_later=False, methods=_TRANSFER),
    "pay_in_process": CallKind(succeeds_later=True, methods=_PAY),
    "throttled": CallKind(Execution.NEVER, says=_throttled),
    "slow": CallKind(),
    "down": CallKind(Execution.NEVER, Delivery.UNAVAILABLE),
    "down_cut": CallKind(Execution.NEVER, Delivery.CUT),
    "unlisted_code": CallKind(Execution.NEVER, says=_unlisted),
    "unlisted_code_after": CallKind(says=_unlisted),
} | {kind: CallKind(methods=frozenset({BILL_METHOD})) for kind in SPOILERS}
"""Faults around a call. `…_before`: no money moved; `…_after`: it did, and nobody is told."""
