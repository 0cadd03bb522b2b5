"""From a verified answer to an outcome.

A success is certain only if it is about our number and our amount, and if everything that it says
agrees; anything else is a conflict or unknown. What the words mean is `outcomes`.
"""

from dataclasses import dataclass, replace

from shanmen.gateway_adapters.domain.operations import OperationKind, Outcome
from shanmen.gateway_adapters.providers.base import Answer, Instruction
from shanmen.gateway_adapters.providers.huijinbao import outcomes
from shanmen.gateway_adapters.providers.huijinbao.client import VerifiedAnswer
from shanmen.gateway_adapters.providers.huijinbao.outcomes import Method


@dataclass(frozen=True)
class _Reading:
    """An outcome with its explanation, before it has become an answer."""

    outcome: Outcome
    reason: str
    sub_code: str = ""
    amount_fen: int | None = None
    proceeds: tuple[int, int] | None = None
    listed: bool = True


def read(method: Method, instruction: Instruction, answer: VerifiedAnswer) -> Answer:
    """What a verified answer to this call means for the instruction."""
    reading = _read(method, instruction, answer)
    principal_fen, yield_fen = reading.proceeds or (None, None)
    has_moved = reading.outcome is Outcome.OK and method is not Method.CANCEL
    return Answer(
        outcome=reading.outcome,
        code=answer.text("resp_code"),
        sub_code=reading.sub_code,
        reason=reading.reason,
        channel_ref=answer.text("hjb_seq_id") or None,
        amount_fen=reading.amount_fen,
        principal_fen=principal_fen,
        yield_fen=yield_fen,
        moved_at=answer.moment("finish_time") if has_moved else None,
        listed=reading.listed,
        raw=answer.raw,
    )


def _read(method: Method, instruction: Instruction, answer: VerifiedAnswer) -> _Reading:
    code = answer.text("resp_code")
    if code != outcomes.SUCCESS:
        return _Reading(
            outcomes.code_outcome(method, code),
            answer.text("resp_desc") or "refused without a description",
            listed=outcomes.is_listed(method, code),
        )
    reading = _taken(method, answer)
    contradiction = _other_number(method, instruction, answer)
    if contradiction is not None:
        return contradiction
    if method is Method.CANCEL:
        return reading
    reading = _with_amount(method, instruction, answer, reading)
    return _with_proceeds(instruction, answer, reading)


def _taken(method: Method, answer: VerifiedAnswer) -> _Reading:
    """What became of a call that was taken, by its status words alone."""
    word = answer.text("trans_stat")
    known = outcomes.TRANS_STAT[method]
    outcome = known.get(word, Outcome.UNKNOWN)
    said = f"trans_stat={word}" if word else "no trans_stat"
    if outcome is Outcome.FINAL:
        said = answer.text("fail_desc") or answer.text("resp_desc") or said
    reading = _Reading(outcome, said, answer.text("fail_code"), listed=not word or word in known)
    status = answer.text("order_status")
    if method is not Method.QUERY or not status:
        return reading
    return _with_status(reading, status, word)


def _with_status(reading: _Reading, status: str, word: str) -> _Reading:
    """What the order's status adds to the word; one that is not known makes both worthless."""
    means = outcomes.ORDER_STATUS.get(status)
    said = f"order_status={status}, trans_stat={word}"
    if means is None:
        return _Reading(Outcome.UNKNOWN, said, "order_status", listed=False)
    if word not in means.trans_stat or not word:
        return _Reading(Outcome.UNKNOWN, said, "contradiction")
    return replace(reading, outcome=means.outcome, reason=said)


def _other_number(
    method: Method, instruction: Instruction, answer: VerifiedAnswer
) -> _Reading | None:
    """Whether the answer names another number than ours, of the order or of its original."""
    number = instruction.number
    is_question = method in {Method.QUERY, Method.CANCEL}
    # A question has a number of its own. About a refund it may name the debit, as the refund did.
    expected: dict[str, set[str | None]] = {
        "req_seq_id": set() if is_question else {number},
        "org_req_seq_id": {number, instruction.original_number} if is_question else set(),
    }
    if method is Method.REFUND:
        expected["org_req_seq_id"] = {instruction.original_number}
    for name, ours in expected.items():
        seen = answer.text(name)
        if ours and seen and seen not in ours:
            reason = f"{name} is {seen}, this is about {number}"
            return _Reading(Outcome.CONFLICT, reason, "number_mismatch")
    return None


def _with_amount(
    method: Method, instruction: Instruction, answer: VerifiedAnswer, reading: _Reading
) -> _Reading:
    """The reading with its amount, if that is ours; a query's success must name it.

    Of a liquidation nobody has said how much it is, and what has failed was no amount at all: an
    order that was cancelled before it came has none.
    """
    if instruction.kind is OperationKind.LIQUIDATE or reading.outcome is Outcome.FINAL:
        return reading
    if "trx_amount" not in answer.said.fields:
        if method is Method.QUERY and reading.outcome is Outcome.OK:
            return _Reading(Outcome.UNKNOWN, "the answer has no trx_amount", "incomplete")
        return reading
    seen_fen = answer.fen("trx_amount")
    if seen_fen is None:
        return _Reading(Outcome.UNKNOWN, "trx_amount is not an amount", "incomplete")
    if seen_fen != instruction.amount_fen:
        reason = f"trx_amount is {seen_fen} fen, ours is {instruction.amount_fen}"
        return _Reading(Outcome.CONFLICT, reason, "amount_mismatch", seen_fen)
    return replace(reading, amount_fen=seen_fen)


def _with_proceeds(
    instruction: Instruction, answer: VerifiedAnswer, reading: _Reading
) -> _Reading:
    """What a redemption or liquidation brought back: principal, and yield on top of it.

    A liquidation must say it, as nobody else can. A redemption that does not has brought back what
    was asked for, and no yield.
    """
    kinds = {OperationKind.REDEEM, OperationKind.LIQUIDATE}
    if instruction.kind not in kinds or reading.outcome is not Outcome.OK:
        return reading
    principal_fen, yield_fen = answer.fen("principal_out"), answer.fen("yield_total")
    if principal_fen is not None and yield_fen is not None:
        return replace(reading, proceeds=(principal_fen, yield_fen))
    if instruction.kind is OperationKind.LIQUIDATE:
        reason = "the answer has no principal_out and yield_total"
        return _Reading(Outcome.UNKNOWN, reason, "incomplete")
    return replace(reading, proceeds=(instruction.amount_fen, 0))
