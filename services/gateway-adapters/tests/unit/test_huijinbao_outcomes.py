"""The outcome of every code for every method, against a table written from the interface.

A line is a code and what it means when asked to move money, and to the questions: `pay transfer
refund subscribe redeem liquidate | query cancel`. A dash: it is no answer to that method, so it is
unknown and worth an alarm.
"""

import pytest

from shanmen.gateway_adapters.domain.operations import Outcome
from shanmen.gateway_adapters.providers.huijinbao import outcomes
from shanmen.gateway_adapters.providers.huijinbao.outcomes import Method

METHODS = (
    *(Method.PAY, Method.TRANSFER, Method.REFUND),
    *(Method.SUBSCRIBE, Method.REDEEM, Method.LIQUIDATE),
    *(Method.QUERY, Method.CANCEL),
)
CODES = """
00000100 pending   pending   pending   pending   pending   pending   | pending   pending
HJB_0001 config    config    config    config    config    config    | config    config
HJB_0005 funds     funds     funds     funds     funds     funds     | -         -
HJB_0006 config    config    config    config    config    config    | config    config
HJB_0007 final     config    config    config    config    config    | -         -
HJB_0008 config    final     final     config    config    config    | -         -
HJB_0009 final     config    config    config    config    config    | -         -
HJB_0010 config    final     final     config    config    config    | -         -
HJB_0019 -         -         final     -         final     final     | -         absent
HJB_0021 -         -         -         -         -         -         | absent    absent
HJB_0023 conflict  conflict  conflict  conflict  conflict  conflict  | -         -
HJB_0040 funds     funds     funds     funds     funds     funds     | -         -
HJB_0050 -         -         -         final     config    config    | -         -
HJB_0051 -         -         -         -         funds     funds     | -         -
HJB_0090 throttled throttled throttled throttled throttled throttled | throttled throttled
HJB_0098 config    config    config    config    config    config    | config    config
HJB_0099 unknown   unknown   unknown   unknown   unknown   unknown   | unknown   unknown
"""
ROWS = [
    (method, line.split()[0], outcome)
    for line in CODES.strip().split("\n")
    for method, outcome in zip(METHODS, line.replace("|", "").split()[1:], strict=True)
]
ORDER_STATUS = """
0 pending P
1 ok S
2 final F
3 pending P
4 final F
5 final F
6 pending P
7 pending P
8 final F
9 final SF
10 pending P
20 pending P
30 pending P
40 pending P
50 pending SP
51 final SF
52 ok S
60 final SF
"""


@pytest.mark.parametrize(("method", "code", "expected"), ROWS)
def test_a_code(method: Method, code: str, expected: str) -> None:
    is_listed = expected != "-"
    assert outcomes.is_listed(method, code) is is_listed
    assert outcomes.code_outcome(method, code) == (expected if is_listed else Outcome.UNKNOWN)


@pytest.mark.parametrize("code", ["", "00000001", "0", "hjb_0005", "HJB_0100", "NOT_READY"])
@pytest.mark.parametrize("method", METHODS)
def test_any_other_code_is_unknown_and_worth_an_alarm(method: Method, code: str) -> None:
    assert outcomes.code_outcome(method, code) is Outcome.UNKNOWN
    assert not outcomes.is_listed(method, code)


def test_no_code_is_decided_without_a_row_here() -> None:
    for method in METHODS:
        written = {code for asked, code, outcome in ROWS if asked == method and outcome != "-"}
        assert set(outcomes.RESP_CODES[method]) == written


@pytest.mark.parametrize("method", [Method.QUERY, Method.CANCEL])
def test_a_refused_question_never_ends_the_operation(method: Method) -> None:
    assert {Outcome.FINAL, Outcome.OK}.isdisjoint(outcomes.RESP_CODES[method].values())


@pytest.mark.parametrize("method", METHODS)
def test_only_s_is_a_success_and_a_refused_cancellation_proves_nothing(method: Method) -> None:
    refused = Outcome.UNKNOWN if method is Method.CANCEL else Outcome.FINAL
    assert outcomes.TRANS_STAT[method] == {
        "S": Outcome.OK,
        "P": Outcome.PENDING,
        "F": refused,
    }


def test_the_order_status_table() -> None:
    rows = [line.split() for line in ORDER_STATUS.strip().split("\n")]
    assert {
        status: (means.outcome.value, means.trans_stat)
        for status, means in outcomes.ORDER_STATUS.items()
    } == {status: (outcome, words) for status, outcome, words in rows}
