"""From a verified answer to an outcome.

A success is certain only if it is about our number and our amount; anything else in a `10000` is
a conflict or unknown. Which fields to look at is data (`_EVIDENCE`), what they mean is `outcomes`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from shanmen.common.money import from_yuan, to_yuan
from shanmen.gateway_adapters.domain.operations import Outcome
from shanmen.gateway_adapters.providers.alipay import outcomes
from shanmen.gateway_adapters.providers.alipay.client import VerifiedAnswer
from shanmen.gateway_adapters.providers.alipay.outcomes import Method
from shanmen.gateway_adapters.providers.base import Answer, Instruction

_CERTAIN: Final = (Outcome.OK, Outcome.FINAL)
_NOT_EXECUTED: Final = (Outcome.FUNDS, Outcome.THROTTLED, Outcome.CONFIG)


@dataclass(frozen=True)
class _Evidence:
    """The fields of a method's successful answer that say what it is about."""

    reference: str
    """The channel's own number."""
    time: str | None = None
    """When the money moved."""
    amount: str | None = None
    number: str | None = None
    original: str | None = None

    def numbers(self, instruction: Instruction) -> dict[str, str]:
        """Each field that holds one of our numbers, and the number it must hold."""
        pairs = ((self.number, instruction.number), (self.original, instruction.original_number))
        return {name: number for name, number in pairs if name and number}


_EVIDENCE: Final[Mapping[Method, _Evidence]] = {
    Method.PAY: _Evidence("trade_no", "gmt_payment", amount="total_amount", number="out_trade_no"),
    Method.QUERY: _Evidence(
        "trade_no", "send_pay_date", amount="total_amount", number="out_trade_no"
    ),
    Method.CANCEL: _Evidence("trade_no", number="out_trade_no"),
    # Says what was refunded of the whole trade so far, not what this number refunded.
    Method.REFUND: _Evidence("trade_no", "gmt_refund_pay", original="out_trade_no"),
    Method.REFUND_QUERY: _Evidence(
        "trade_no",
        "gmt_refund_pay",
        amount="refund_amount",
        number="out_request_no",
        original="out_trade_no",
    ),
    # Does not repeat the amount: the channel refuses another one under the same number.
    Method.TRANSFER: _Evidence("order_id", "trans_date", number="out_biz_no"),
    Method.TRANSFER_QUERY: _Evidence(
        "order_id", "pay_date", amount="trans_amount", number="out_biz_no"
    ),
}


@dataclass(frozen=True)
class _Reading:
    """An outcome with its explanation, before it has become an answer."""

    outcome: Outcome
    reason: str
    sub_code: str = ""
    amount_fen: int | None = field(default=None)


def read(method: Method, instruction: Instruction, answer: VerifiedAnswer) -> Answer:
    """What a verified answer to this call means for the instruction."""
    if answer.text("code") == outcomes.SUCCESS:
        reading = _success(method, instruction, answer)
    else:
        reading = _refusal(method, answer)
    return Answer(
        outcome=reading.outcome,
        code=answer.text("code"),
        sub_code=reading.sub_code,
        reason=reading.reason,
        channel_ref=answer.text(_EVIDENCE[method].reference) or None,
        amount_fen=reading.amount_fen,
        moved_at=_moved_at(method, reading, answer),
        listed=_is_listed(method, answer),
        raw=answer.raw,
    )


def _moved_at(method: Method, reading: _Reading, answer: VerifiedAnswer) -> datetime | None:
    """When the money moved, of a success; not every answer says it."""
    name = _EVIDENCE[method].time
    if name is None or reading.outcome is not Outcome.OK:
        return None
    return answer.moment(name)


def _is_listed(method: Method, answer: VerifiedAnswer) -> bool:
    if answer.text("code") == outcomes.SUCCESS:
        words = outcomes.STATUS_WORDS[method]
        word = answer.text(words.field)
        return not word or word in words.outcomes
    return outcomes.is_listed(method, answer.text("code"), answer.text("sub_code"))


def _refusal(method: Method, answer: VerifiedAnswer) -> _Reading:
    code, sub_code = answer.text("code"), answer.text("sub_code")
    messages = (answer.text("msg"), answer.text("sub_msg"))
    reason = ": ".join(filter(None, messages)) or "refused without a message"
    return _Reading(outcomes.refusal_outcome(method, code, sub_code), reason, sub_code)


def _success(method: Method, instruction: Instruction, answer: VerifiedAnswer) -> _Reading:
    words = outcomes.STATUS_WORDS[method]
    word = answer.text(words.field)
    said = f"{words.field}={word}" if word else f"no {words.field}"
    reading = _Reading(
        words.outcome(word), said, word if words.outcome(word) != Outcome.OK else ""
    )
    checked = _contradiction(method, instruction, answer, reading.outcome)
    if checked is not None:
        return checked
    refine = _REFINEMENTS.get(method)
    if refine is not None:
        reading = refine(instruction, answer, reading)
    amount_field = _EVIDENCE[method].amount
    if amount_field and answer.text(amount_field):
        return _Reading(reading.outcome, reading.reason, reading.sub_code, instruction.amount_fen)
    return reading


def _contradiction(
    method: Method, instruction: Instruction, answer: VerifiedAnswer, outcome: Outcome
) -> _Reading | None:
    """Whether the answer is about something else, or says too little to be certain."""
    evidence = _EVIDENCE[method]
    for name, number in evidence.numbers(instruction).items():
        seen = answer.text(name)
        if seen and seen != number:
            return _Reading(
                Outcome.CONFLICT, f"{name} is {seen}, ours is {number}", "number_mismatch"
            )
        if not seen and outcome in _CERTAIN:
            return _Reading(Outcome.UNKNOWN, f"the answer has no {name}", "incomplete")
    if evidence.amount is None:
        return None
    return _amount_contradiction(evidence.amount, instruction, answer, outcome)


def _amount_contradiction(
    name: str, instruction: Instruction, answer: VerifiedAnswer, outcome: Outcome
) -> _Reading | None:
    text = answer.text(name)
    if not text:
        if outcome is Outcome.OK:
            return _Reading(Outcome.UNKNOWN, f"the answer has no {name}", "incomplete")
        return None
    seen_fen = _fen(text)
    if seen_fen is None:
        return _Reading(Outcome.UNKNOWN, f"{name} is not an amount", "incomplete")
    if seen_fen != instruction.amount_fen:
        ours = to_yuan(instruction.amount_fen)
        return _Reading(
            Outcome.CONFLICT, f"{name} is {text}, ours is {ours}", "amount_mismatch", seen_fen
        )
    return None


def _cancel(_instruction: Instruction, answer: VerifiedAnswer, reading: _Reading) -> _Reading:
    if answer.text("retry_flag") == "Y":
        return _Reading(Outcome.UNKNOWN, "the cancellation must be repeated", "retry_flag")
    done = {"close": "closed unpaid", "refund": "undone, the money was paid back"}
    return replace(reading, reason=done.get(answer.text("action"), reading.reason))


def _refund(instruction: Instruction, answer: VerifiedAnswer, reading: _Reading) -> _Reading:
    """The trade's refunds so far include this one, so they cannot be less."""
    if reading.outcome is not Outcome.OK:
        return reading
    total_fen = _fen(answer.text("refund_fee"))
    if total_fen is None:
        return _Reading(Outcome.UNKNOWN, "the answer has no refund_fee", "incomplete")
    if total_fen < instruction.amount_fen:
        ours = to_yuan(instruction.amount_fen)
        reason = f"{to_yuan(total_fen)} refunded of the trade so far, less than our {ours}"
        return _Reading(Outcome.CONFLICT, reason, "amount_mismatch", total_fen)
    return reading


def _transfer(_instruction: Instruction, answer: VerifiedAnswer, reading: _Reading) -> _Reading:
    """A failed transfer says why, and some of the reasons let the same number try again."""
    error_code = answer.text("error_code")
    if reading.outcome is not Outcome.FINAL or not error_code:
        return reading
    outcome = outcomes.refusal_outcome(Method.TRANSFER, outcomes.BUSINESS_FAILURE, error_code)
    return _Reading(
        outcome if outcome in _NOT_EXECUTED else Outcome.FINAL,
        answer.text("fail_reason") or reading.reason,
        error_code,
    )


_Refinement = Callable[[Instruction, VerifiedAnswer, _Reading], _Reading]

_REFINEMENTS: Final[Mapping[Method, _Refinement]] = {
    Method.CANCEL: _cancel,
    Method.REFUND: _refund,
    Method.TRANSFER: _transfer,
    Method.TRANSFER_QUERY: _transfer,
}


def _fen(text: str) -> int | None:
    try:
        return from_yuan(text)
    except ValueError:
        return None
