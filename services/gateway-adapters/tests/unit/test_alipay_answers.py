"""What a verified `10000` means: only our number and our amount make it certain."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from shanmen.gateway_adapters.domain.operations import OperationKind, Outcome
from shanmen.gateway_adapters.providers.alipay import answers
from shanmen.gateway_adapters.providers.alipay.client import VerifiedAnswer
from shanmen.gateway_adapters.providers.alipay.outcomes import Method
from shanmen.gateway_adapters.providers.base import Answer, Counterparty, Instruction

DEBIT = Instruction("D1", OperationKind.DEBIT, 8_888, Counterparty("a@b.cn", "甲", "2026"), "门票")
PAYOUT = replace(DEBIT, number="P1", kind=OperationKind.PAYOUT)
REFUND = replace(DEBIT, number="R1", kind=OperationKind.REFUND, original_number="D1")

PAID = {"out_trade_no": "D1", "trade_no": "T1", "total_amount": "88.88"}
QUERIED = {**PAID, "trade_status": "TRADE_SUCCESS"}
REFUNDED = {"out_trade_no": "D1", "trade_no": "T1", "fund_change": "Y", "refund_fee": "88.88"}
REFUND_QUERIED = {
    "out_trade_no": "D1",
    "out_request_no": "R1",
    "trade_no": "T1",
    "refund_amount": "88.88",
    "total_amount": "100.00",
    "refund_status": "REFUND_SUCCESS",
}
TRANSFERRED = {"out_biz_no": "P1", "order_id": "O1", "status": "SUCCESS"}
TRANSFER_QUERIED = {**TRANSFERRED, "trans_amount": "88.88"}
CANCELLED = {"out_trade_no": "D1", "trade_no": "T1", "retry_flag": "N", "action": "close"}

CERTAIN = [
    (Method.PAY, DEBIT, PAID),
    (Method.QUERY, DEBIT, QUERIED),
    (Method.REFUND, REFUND, REFUNDED),
    (Method.REFUND_QUERY, REFUND, REFUND_QUERIED),
    (Method.TRANSFER, PAYOUT, TRANSFERRED),
    (Method.TRANSFER_QUERY, PAYOUT, TRANSFER_QUERIED),
    (Method.CANCEL, DEBIT, CANCELLED),
]
NUMBER_FIELDS = ("out_trade_no", "out_request_no", "out_biz_no")
TIME_FIELDS = {
    Method.PAY: "gmt_payment",
    Method.QUERY: "send_pay_date",
    Method.REFUND: "gmt_refund_pay",
    Method.REFUND_QUERY: "gmt_refund_pay",
    Method.TRANSFER: "trans_date",
    Method.TRANSFER_QUERY: "pay_date",
}
TIMED = [(*row, TIME_FIELDS[row[0]]) for row in CERTAIN if row[0] in TIME_FIELDS]
AMOUNT_FIELDS = {
    Method.PAY: "total_amount",
    Method.QUERY: "total_amount",
    Method.REFUND_QUERY: "refund_amount",
    Method.TRANSFER_QUERY: "trans_amount",
}


def read(method: Method, instruction: Instruction, fields: dict[str, str]) -> Answer:
    verified = VerifiedAnswer({"code": "10000", "msg": "Success", **fields}, b"as it came")
    return answers.read(method, instruction, verified)


@pytest.mark.parametrize(("method", "instruction", "fields"), CERTAIN)
def test_a_whole_success_is_certain(
    method: Method, instruction: Instruction, fields: dict[str, str]
) -> None:
    answer = read(method, instruction, fields)
    assert (answer.outcome, answer.code, answer.sub_code) == (Outcome.OK, "10000", "")
    assert answer.channel_ref in {"T1", "O1"}
    assert answer.amount_fen == (8_888 if method in AMOUNT_FIELDS else None)
    assert answer.raw == b"as it came"


@pytest.mark.parametrize(("method", "instruction", "fields"), CERTAIN)
def test_another_number_is_a_conflict_and_none_is_unknown(
    method: Method, instruction: Instruction, fields: dict[str, str]
) -> None:
    for name in NUMBER_FIELDS:
        if name not in fields:
            continue
        foreign = read(method, instruction, {**fields, name: "X9"})
        assert (foreign.outcome, foreign.sub_code) == (Outcome.CONFLICT, "number_mismatch")
        silent = read(method, instruction, {k: v for k, v in fields.items() if k != name})
        assert (silent.outcome, silent.sub_code) == (Outcome.UNKNOWN, "incomplete")


@pytest.mark.parametrize(
    ("method", "instruction", "fields"), [row for row in CERTAIN if row[0] in AMOUNT_FIELDS]
)
@pytest.mark.parametrize(
    ("amount", "outcome"),
    [
        ("88.87", Outcome.CONFLICT),
        ("8888", Outcome.CONFLICT),
        ("-88.88", Outcome.CONFLICT),
        ("", Outcome.UNKNOWN),
        ("much", Outcome.UNKNOWN),
        ("88.880", Outcome.UNKNOWN),
        ("88.88", Outcome.OK),
    ],
)
def test_the_amount_must_be_ours(
    method: Method,
    instruction: Instruction,
    fields: dict[str, str],
    amount: str,
    outcome: Outcome,
) -> None:
    answer = read(method, instruction, {**fields, AMOUNT_FIELDS[method]: amount})
    assert answer.outcome is outcome


def test_a_whole_amount_without_decimals_is_the_same_amount() -> None:
    instruction = replace(DEBIT, amount_fen=8_800)
    assert read(Method.PAY, instruction, {**PAID, "total_amount": "88"}).outcome is Outcome.OK


@pytest.mark.parametrize(
    ("refund_fee", "outcome"),
    [
        ("88.88", Outcome.OK),
        ("100.00", Outcome.OK),  # an earlier part of the same trade is counted in
        ("88.87", Outcome.CONFLICT),
        ("", Outcome.UNKNOWN),
    ],
)
def test_the_refunds_of_the_trade_include_ours(refund_fee: str, outcome: Outcome) -> None:
    answer = read(Method.REFUND, REFUND, {**REFUNDED, "refund_fee": refund_fee})
    assert answer.outcome is outcome


def test_a_refund_that_moved_nothing_now_is_asked_about() -> None:
    answer = read(Method.REFUND, REFUND, {**REFUNDED, "fund_change": "N"})
    assert (answer.outcome, answer.sub_code) == (Outcome.PENDING, "N")


def test_an_unknown_refund_is_absent_though_the_answer_is_empty() -> None:
    answer = read(Method.REFUND_QUERY, REFUND, {})
    assert answer.outcome is Outcome.ABSENT


def test_a_closed_trade_of_another_amount_is_a_conflict() -> None:
    closed = {**QUERIED, "trade_status": "TRADE_CLOSED"}
    assert read(Method.QUERY, DEBIT, closed).outcome is Outcome.FINAL
    assert (
        read(Method.QUERY, DEBIT, {**closed, "total_amount": "1.00"}).outcome is Outcome.CONFLICT
    )
    waiting = {**QUERIED, "trade_status": "WAIT_BUYER_PAY"}
    answer = read(Method.QUERY, DEBIT, waiting)
    assert (answer.outcome, answer.sub_code) == (Outcome.PENDING, "WAIT_BUYER_PAY")


@pytest.mark.parametrize(
    ("fields", "outcome"),
    [
        ({"action": "close", "retry_flag": "N"}, Outcome.OK),
        ({"action": "refund", "retry_flag": "N"}, Outcome.OK),
        ({"retry_flag": "N"}, Outcome.ABSENT),
        ({"retry_flag": "Y"}, Outcome.UNKNOWN),
        ({"action": "close", "retry_flag": "Y"}, Outcome.UNKNOWN),
    ],
)
def test_a_cancellation(fields: dict[str, str], outcome: Outcome) -> None:
    answer = read(Method.CANCEL, DEBIT, {"out_trade_no": "D1", **fields})
    assert answer.outcome is outcome


@pytest.mark.parametrize("method", [Method.TRANSFER, Method.TRANSFER_QUERY])
@pytest.mark.parametrize(
    ("error_code", "outcome"),
    [
        ("PAYER_BALANCE_NOT_ENOUGH", Outcome.FUNDS),
        ("EXCEED_LIMIT_DM_AMOUNT", Outcome.FUNDS),
        ("PRODUCT_NOT_SIGN", Outcome.CONFIG),
        ("RESOURCE_LIMIT_EXCEED", Outcome.THROTTLED),
        ("PAYEE_NOT_EXIST", Outcome.FINAL),
        ("SYSTEM_ERROR", Outcome.FINAL),  # the status has decided: it failed
        ("PAYMENT_INFO_INCONSISTENCY", Outcome.FINAL),
        ("NEWER_THAN_THIS_TABLE", Outcome.FINAL),
        ("", Outcome.FINAL),
    ],
)
def test_a_failed_transfer_says_whether_the_number_may_try_again(
    method: Method, error_code: str, outcome: Outcome
) -> None:
    failed = {
        "out_biz_no": "P1",
        "order_id": "O1",
        "status": "FAIL",
        "error_code": error_code,
        "fail_reason": "原因",
    }
    answer = read(method, PAYOUT, failed)
    assert answer.outcome is outcome
    assert answer.sub_code == (error_code or "FAIL")
    assert answer.reason == ("原因" if error_code else "status=FAIL")


def test_a_transfer_that_came_back_is_final() -> None:
    answer = read(Method.TRANSFER_QUERY, PAYOUT, {**TRANSFER_QUERIED, "status": "REFUND"})
    assert (answer.outcome, answer.sub_code) == (Outcome.FINAL, "REFUND")


def test_a_refusal_keeps_the_channels_codes_and_words() -> None:
    verified = VerifiedAnswer(
        {
            "code": "40004",
            "msg": "Business Failed",
            "sub_code": "ACQ.BUYER_BALANCE_NOT_ENOUGH",
            "sub_msg": "买家余额不足",
        },
        b"as it came",
    )
    answer = answers.read(Method.PAY, DEBIT, verified)
    assert answer == Answer(
        Outcome.FUNDS,
        "40004",
        "Business Failed: 买家余额不足",
        sub_code="ACQ.BUYER_BALANCE_NOT_ENOUGH",
        raw=b"as it came",
    )


@pytest.mark.parametrize("method", [row[0] for row in CERTAIN])
def test_an_answer_that_says_nothing_is_unknown(method: Method) -> None:
    instruction = next(row[1] for row in CERTAIN if row[0] is method)
    assert answers.read(method, instruction, VerifiedAnswer({}, b"")).outcome is Outcome.UNKNOWN


@pytest.mark.parametrize(("method", "instruction", "fields", "time"), TIMED)
def test_a_success_says_when_the_money_moved(
    method: Method, instruction: Instruction, fields: dict[str, str], time: str
) -> None:
    answer = read(method, instruction, {**fields, time: "2026-11-22 00:00:01"})
    assert answer.moved_at == datetime(2026, 11, 21, 16, 0, 1, tzinfo=UTC)
    assert answer.moved_at.tzinfo is UTC


@pytest.mark.parametrize(("method", "instruction", "fields", "time"), TIMED)
@pytest.mark.parametrize(
    "written",
    [
        None,
        "",
        "soon",
        "2026-11-22",
        "2026-11-22T00:00:01",
        "2026-11-22 00:00:01+08:00",
        "2026-11-22 24:00:01",
        "2026-02-30 00:00:01",
        "0000-00-00 00:00:00",
        "0001-01-01 00:00:00",
        " 2026-11-22 00:00:01",
    ],
)
def test_a_time_that_cannot_be_read_takes_nothing_from_a_success(
    method: Method,
    instruction: Instruction,
    fields: dict[str, str],
    time: str,
    written: str | None,
) -> None:
    said = fields if written is None else {**fields, time: written}
    answer = read(method, instruction, said)
    assert (answer.outcome, answer.moved_at) == (Outcome.OK, None)


def test_only_money_that_moved_has_a_time() -> None:
    """Whatever the channel calls the time of something else."""
    times = dict.fromkeys([*TIME_FIELDS.values(), "gmt_close"], "2026-11-22 00:00:01")
    for method, instruction, fields in (
        (Method.PAY, DEBIT, {**PAID, "total_amount": "1.00"}),
        (Method.PAY, DEBIT, {**PAID, "async_payment_mode": "NORMAL_ASYNC_PAY"}),
        (Method.QUERY, DEBIT, {**QUERIED, "trade_status": "TRADE_CLOSED"}),
        (Method.REFUND, REFUND, {**REFUNDED, "fund_change": "N"}),
        (Method.TRANSFER, PAYOUT, {**TRANSFERRED, "status": "DEALING"}),
        (Method.TRANSFER_QUERY, PAYOUT, {**TRANSFER_QUERIED, "status": "REFUND"}),
        (Method.CANCEL, DEBIT, CANCELLED),
    ):
        assert read(method, instruction, {**fields, **times}).moved_at is None
