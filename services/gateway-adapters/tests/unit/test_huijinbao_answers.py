"""What a verified answer means: our number, our amount, and nothing that contradicts itself."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from shanmen.gateway_adapters.domain.operations import OperationKind, Outcome
from shanmen.gateway_adapters.providers.base import OWN_ACCOUNT, Answer, Counterparty, Instruction
from shanmen.gateway_adapters.providers.huijinbao import answers
from shanmen.gateway_adapters.providers.huijinbao.client import VerifiedAnswer
from shanmen.gateway_adapters.providers.huijinbao.envelope import Verified
from shanmen.gateway_adapters.providers.huijinbao.outcomes import Method

PAYER = Counterparty("6200000000000002", "经销商甲", "AG1")
DEBIT = Instruction("D1", OperationKind.DEBIT, 8_888, PAYER, "门票", "ord_1")
PAYOUT = replace(DEBIT, number="P1", kind=OperationKind.PAYOUT)
REFUND = replace(DEBIT, number="R1", kind=OperationKind.REFUND, original_number="D1")
SUBSCRIBE = Instruction("S1", OperationKind.SUBSCRIBE, 8_888, OWN_ACCOUNT, "联票", "prd_1")
REDEEM = replace(SUBSCRIBE, number="S2", kind=OperationKind.REDEEM)
LIQUIDATE = replace(SUBSCRIBE, number="L1", kind=OperationKind.LIQUIDATE, amount_fen=0)

SENDS = [
    (Method.PAY, DEBIT),
    (Method.TRANSFER, PAYOUT),
    (Method.REFUND, REFUND),
    (Method.SUBSCRIBE, SUBSCRIBE),
    (Method.REDEEM, REDEEM),
]
PROCEEDS = {"principal_out": 5_000, "yield_total": 123}


def read(method: Method, instruction: Instruction, **fields: object) -> Answer:
    said = {"resp_code": "00000000", "hjb_seq_id": "H1", **fields}
    answer = VerifiedAnswer(Verified("M1", method, "n1", said), b"as it came")
    return answers.read(method, instruction, answer)


@pytest.mark.parametrize(("method", "instruction"), SENDS)
@pytest.mark.parametrize(
    ("word", "outcome"),
    [
        ("S", Outcome.OK),
        ("P", Outcome.PENDING),
        ("F", Outcome.FINAL),
        ("", Outcome.UNKNOWN),
        ("s", Outcome.UNKNOWN),
    ],
)
def test_a_taken_call_means_what_its_status_says(
    method: Method, instruction: Instruction, word: str, outcome: Outcome
) -> None:
    answer = read(method, instruction, trans_stat=word)
    assert (answer.outcome, answer.code, answer.channel_ref) == (outcome, "00000000", "H1")
    assert answer.listed is (word != "s")
    assert answer.raw == b"as it came"


def test_a_code_counts_whatever_else_is_said() -> None:
    answer = read(Method.PAY, DEBIT, resp_code="HJB_0005", resp_desc="余额不足", trans_stat="S")
    assert (answer.outcome, answer.reason) == (Outcome.FUNDS, "余额不足")
    unlisted = read(Method.PAY, DEBIT, resp_code="HJB_7777", trans_stat="S")
    assert (unlisted.outcome, unlisted.listed) == (Outcome.UNKNOWN, False)


def test_a_failed_order_says_why() -> None:
    fields = {"trans_stat": "F", "fail_code": "HJB_0005", "trx_amount": 8_888}
    answer = read(Method.QUERY, DEBIT, **fields)
    assert (answer.outcome, answer.sub_code) == (Outcome.FINAL, "HJB_0005")


@pytest.mark.parametrize(
    ("status", "word", "outcome"),
    [
        ("1", "S", Outcome.OK),
        (1, "S", Outcome.OK),
        ("3", "P", Outcome.PENDING),
        ("5", "F", Outcome.FINAL),
        ("51", "S", Outcome.FINAL),
        ("2", "S", Outcome.UNKNOWN),
        ("1", "P", Outcome.UNKNOWN),
        ("1", "F", Outcome.UNKNOWN),
        ("1", "", Outcome.UNKNOWN),
        ("99", "S", Outcome.UNKNOWN),
    ],
)
def test_a_query_is_certain_only_if_both_its_words_agree(
    status: object, word: str, outcome: Outcome
) -> None:
    answer = read(Method.QUERY, DEBIT, order_status=status, trans_stat=word, trx_amount=8_888)
    assert answer.outcome is outcome
    assert answer.listed is (status != "99")


@pytest.mark.parametrize(
    ("amount", "outcome", "sub_code"),
    [
        (8_888, Outcome.OK, ""),
        (8_887, Outcome.CONFLICT, "amount_mismatch"),
        (0, Outcome.CONFLICT, "amount_mismatch"),
        (-8_888, Outcome.UNKNOWN, "incomplete"),
        ("88.88", Outcome.UNKNOWN, "incomplete"),
        ("8888", Outcome.UNKNOWN, "incomplete"),
        (True, Outcome.UNKNOWN, "incomplete"),
        (None, Outcome.UNKNOWN, "incomplete"),
    ],
)
@pytest.mark.parametrize("method", [Method.QUERY, Method.PAY])
def test_another_amount_is_a_conflict(
    method: Method, amount: object, outcome: Outcome, sub_code: str
) -> None:
    answer = read(method, DEBIT, trans_stat="S", trx_amount=amount)
    assert (answer.outcome, answer.sub_code) == (outcome, sub_code)


def test_a_query_must_name_the_amount_of_a_success() -> None:
    assert read(Method.QUERY, DEBIT, trans_stat="S").sub_code == "incomplete"
    assert read(Method.QUERY, DEBIT, trans_stat="P").outcome is Outcome.PENDING
    assert read(Method.PAY, DEBIT, trans_stat="S").outcome is Outcome.OK


@pytest.mark.parametrize(
    ("method", "instruction", "field"),
    [
        *((method, instruction, "req_seq_id") for method, instruction in SENDS),
        (Method.REFUND, REFUND, "org_req_seq_id"),
        (Method.QUERY, PAYOUT, "org_req_seq_id"),
        (Method.CANCEL, DEBIT, "org_req_seq_id"),
    ],
)
def test_an_answer_about_another_number_is_a_conflict(
    method: Method, instruction: Instruction, field: str
) -> None:
    fields = {"trans_stat": "S", "trx_amount": 8_888, field: "X9"}
    answer = read(method, instruction, **fields)
    assert (answer.outcome, answer.sub_code) == (Outcome.CONFLICT, "number_mismatch")
    ours = instruction.original_number if field.startswith("org_req_seq_id") else None
    fields[field] = ours or instruction.number
    assert read(method, instruction, **fields).outcome is Outcome.OK


def test_a_question_about_a_refund_may_be_answered_with_its_debit() -> None:
    fields = {"trans_stat": "S", "trx_amount": 8_888, "req_seq_id": "the question's own"}
    for named in ("R1", "D1"):
        answer = read(Method.QUERY, REFUND, **fields, org_req_seq_id=named)
        assert answer.outcome is Outcome.OK
    assert read(Method.QUERY, REFUND, **fields, org_req_seq_id="D2").outcome is Outcome.CONFLICT


def test_what_was_cancelled_before_it_came_has_no_amount() -> None:
    fields = {"trans_stat": "F", "order_status": "5", "trx_amount": 0}
    assert read(Method.QUERY, DEBIT, **fields).outcome is Outcome.FINAL


@pytest.mark.parametrize("method", [Method.LIQUIDATE, Method.QUERY])
def test_a_liquidation_says_what_came_back(method: Method) -> None:
    answer = read(method, LIQUIDATE, trans_stat="S", trx_amount=5_123, **PROCEEDS)
    assert (answer.outcome, answer.principal_fen, answer.yield_fen) == (Outcome.OK, 5_000, 123)
    for gone in PROCEEDS:
        told = {name: fen for name, fen in PROCEEDS.items() if name != gone}
        silent = read(method, LIQUIDATE, trans_stat="S", **told)
        assert (silent.outcome, silent.sub_code) == (Outcome.UNKNOWN, "incomplete")
        assert silent.principal_fen is silent.yield_fen is None
    pending = read(method, LIQUIDATE, trans_stat="P", **PROCEEDS)
    assert (pending.outcome, pending.principal_fen) == (Outcome.PENDING, None)


def test_a_redemption_brings_back_what_was_asked_for() -> None:
    silent = read(Method.REDEEM, REDEEM, trans_stat="S", trx_amount=8_888)
    assert (silent.principal_fen, silent.yield_fen) == (8_888, 0)
    told = {"principal_out": 8_800, "yield_total": 88}
    answer = read(Method.QUERY, REDEEM, trans_stat="S", trx_amount=8_888, **told)
    assert (answer.principal_fen, answer.yield_fen) == (8_800, 88)
    assert read(Method.SUBSCRIBE, SUBSCRIBE, trans_stat="S", **PROCEEDS).principal_fen is None


@pytest.mark.parametrize(
    ("word", "outcome"),
    [("S", Outcome.OK), ("P", Outcome.PENDING), ("F", Outcome.UNKNOWN), ("", Outcome.UNKNOWN)],
)
def test_a_cancellation_is_certain_or_proves_nothing(word: str, outcome: Outcome) -> None:
    assert read(Method.CANCEL, DEBIT, trans_stat=word).outcome is outcome


@pytest.mark.parametrize(
    ("method", "instruction"),
    [*SENDS, (Method.LIQUIDATE, LIQUIDATE), (Method.QUERY, PAYOUT), (Method.QUERY, LIQUIDATE)],
)
@pytest.mark.parametrize(
    ("written", "moved_at"),
    [
        ("2026-11-22T00:00:01+08:00", datetime(2026, 11, 21, 16, 0, 1, tzinfo=UTC)),
        ("2026-11-21T16:00:01Z", datetime(2026, 11, 21, 16, 0, 1, tzinfo=UTC)),
        ("2026-11-22T00:00:01", None),
        ("2026-11-22", None),
        ("0001-01-01T00:00:00+08:00", None),
        ("soon", None),
        (1_763_740_801, None),
        (None, None),
    ],
)
def test_a_success_says_when_the_money_moved(
    method: Method, instruction: Instruction, written: object, moved_at: datetime | None
) -> None:
    fields = {"trans_stat": "S", "trx_amount": instruction.amount_fen, **PROCEEDS}
    answer = read(method, instruction, **fields, finish_time=written)
    assert (answer.outcome, answer.moved_at) == (Outcome.OK, moved_at)
    assert answer.moved_at is None or answer.moved_at.tzinfo is UTC


@pytest.mark.parametrize(
    ("method", "fields"),
    [
        (Method.QUERY, {"trans_stat": "F"}),
        (Method.QUERY, {"trans_stat": "P"}),
        (Method.QUERY, {"trans_stat": "S", "order_status": "51"}),
        (Method.QUERY, {"trans_stat": "S", "trx_amount": 1}),
        (Method.PAY, {"trans_stat": "S", "resp_code": "HJB_0099"}),
        (Method.CANCEL, {"trans_stat": "S"}),
    ],
)
def test_only_money_that_moved_has_a_time(method: Method, fields: dict[str, object]) -> None:
    said = {"trx_amount": 8_888, "finish_time": "2026-11-22T00:00:01+08:00", **fields}
    assert read(method, DEBIT, **said).moved_at is None
