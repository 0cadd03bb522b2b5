"""The two machines that orders writes, cell by cell, and the words of the source."""

import ast
import inspect
import itertools

import pytest

from shanmen.orders import domain
from shanmen.orders.domain import CLOSABLE_DEBITS, DEBIT, ORDER, DebitState, OrderStatus

# Rows become columns; "x" is a transition that exists.
ORDER_TABLE = """
                      awaiting_payment closed_unpaid paid issued completed closed_refunded
    awaiting_payment          -              x        x     -        -            -
    closed_unpaid             -              -        -     -        -            -
    paid                      -              -        -     x        -            -
    issued                    -              -        -     -        x            x
    completed                 -              -        -     -        -            -
    closed_refunded           -              -        -     -        -            -
"""
DEBIT_TABLE = """
                    none  requested  short_of_funds  stuck  refused  succeeded
    none             -        x            -           -       -         -
    requested        -        -            x           x       x         x
    short_of_funds   -        x            -           x       x         x
    stuck            -        x            x           -       x         x
    refused          -        x            -           -       -         x
    succeeded        -        -            -           -       -         -
"""


def cells(drawn: str) -> dict[tuple[str, str], bool]:
    header, *rows = [line.split() for line in drawn.strip().splitlines()]
    return {
        (source, target): mark == "x"
        for source, *marks in rows
        for target, mark in zip(header, marks, strict=True)
    }


@pytest.mark.parametrize(("source", "target"), [*itertools.product(OrderStatus, OrderStatus)])
def test_order_machine(source: OrderStatus, target: OrderStatus) -> None:
    assert ORDER.allows(source, target) is cells(ORDER_TABLE)[source, target]


@pytest.mark.parametrize(("source", "target"), [*itertools.product(DebitState, DebitState)])
def test_debit_machine(source: DebitState, target: DebitState) -> None:
    assert DEBIT.allows(source, target) is cells(DEBIT_TABLE)[source, target]


def test_an_order_begins_unpaid_and_a_debit_unasked_for() -> None:
    assert (ORDER.initial, DEBIT.initial) == ("awaiting_payment", "none")


def test_only_without_an_outstanding_debit_can_an_order_be_closed() -> None:
    outstanding = {"requested", "short_of_funds", "stuck", "succeeded"}
    assert set(DebitState) - outstanding == CLOSABLE_DEBITS


TERMS = """
    OrderStatus   awaiting_payment     等待支付
    OrderStatus   closed_unpaid        交易关闭1
    OrderStatus   paid                 支付成功
    OrderStatus   issued               出票成功
    OrderStatus   completed            交易成功
    OrderStatus   closed_refunded      交易关闭2
    Usage         unused               未使用
    Usage         used                 已使用
    Usage         expired              已过期
    Settlement    pending              待处理
    Settlement    settled              已结算
    Settlement    settle_failed        结算失败
    Settlement    refunded             已退款
    Settlement    refund_failed        退款失败
    Settlement    forfeited            无须退款
    Shown         awaiting_activation  待激活
    Shown         awaiting_visit       待游玩
    Shown         visited              已游玩
    Shown         awaiting_settlement  待结算
    Shown         settled              已结算
    Shown         lapsed               已失效
    Shown         awaiting_refund      待退款
    Shown         refunded             已退款
    Shown         forfeited            无须退款
    RefundStatus  refund_pending       退款待处理
    RefundStatus  partially_refunded   部分退款成功
    RefundStatus  refunded             退款成功
"""


def documented() -> dict[tuple[str, str], str]:
    """The text under each member of each enumeration, by class and value."""
    found: dict[tuple[str, str], str] = {}
    for node in ast.parse(inspect.getsource(domain)).body:
        if not isinstance(node, ast.ClassDef):
            continue
        for member, text in itertools.pairwise(node.body):
            match member, text:
                case (
                    ast.Assign(value=ast.Constant(value=str(value))),
                    ast.Expr(value=ast.Constant(value=str(told))),
                ):
                    found[node.name, value] = told
                case _:
                    pass
    return found


@pytest.mark.parametrize("line", [line.split() for line in TERMS.strip().splitlines()])
def test_each_member_says_the_term_of_the_source(line: list[str]) -> None:
    name, value, term = line
    text = documented()[name, value]
    assert text.removeprefix(term)[:1] in {":", "."}, text
