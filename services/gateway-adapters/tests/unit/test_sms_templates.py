"""The texts: signed, filled in with what they name, and refused early when that is not there."""

import pytest

from shanmen.gateway_adapters.providers.sms.templates import (
    PARAM_LIMIT,
    TEMPLATES,
    NotSendable,
    param_names,
    prepare_params,
    render,
)

STUCK = {
    "amount_yuan": "123.40",
    "subject": "pay_1",
    "channel": "alipay",
    "reason": "收款方账户异常",
}


def test_a_text_is_signed_and_filled_in() -> None:
    params = prepare_params("payout_refused", STUCK)
    assert render("payout_refused", params) == (
        "【山门】支付宝打款pay_1金额123.40元被拒，原因：收款方账户异常。"
        "请核对景区收款账户后在工作台人工汇款。"
    )


def test_breaks_are_told_with_the_day_their_number_and_their_sum() -> None:
    breaks = {"bill_date": "2026-11-22", "breaks": "3", "amount_yuan": "12.34"}
    params = prepare_params("reconciliation_breaks", {**breaks, "channel": "alipay"})
    assert render("reconciliation_breaks", params) == (
        "【山门】支付宝2026-11-22对账发现3处新差异，金额合计12.34元。请在工作台核实后处理。"
    )


def test_the_texts_there_are() -> None:
    names = {name: set(param_names(name)) for name in TEMPLATES}
    short = {"channel", "subject", "amount_yuan"}
    assert names == {
        "payment_short": {"order_no", "amount_yuan", "deadline"},
        "debit_stuck": {*short, "reason"},
        "payout_short": short,
        "payout_stuck": {*short, "reason"},
        "payout_refused": {*short, "reason"},
        "refund_short": short,
        "refund_stuck": {*short, "reason"},
        "refund_refused": {*short, "reason"},
        "subscribe_short": short,
        "subscribe_stuck": {*short, "reason"},
        "subscribe_refused": {*short, "reason"},
        "redeem_short": short,
        "redeem_stuck": {*short, "reason"},
        "redeem_refused": {*short, "reason"},
        "liquidate_short": short,
        "liquidate_stuck": {*short, "reason"},
        "liquidate_refused": {*short, "reason"},
        "reconciliation_breaks": {"channel", "bill_date", "breaks", "amount_yuan"},
    }


def test_only_what_the_text_names_is_sent() -> None:
    assert prepare_params("payout_short", STUCK) == {
        "channel": "支付宝",
        "subject": "pay_1",
        "amount_yuan": "123.40",
    }


def test_a_channel_without_another_name_keeps_its_own() -> None:
    assert prepare_params("payout_short", {**STUCK, "channel": "bank"})["channel"] == "bank"


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("two\nlines\x00 and\ttabs", "two lines and tabs"),
        ("超" * (PARAM_LIMIT + 1), "超" * (PARAM_LIMIT - 1) + "…"),
        ("{subject}{", "{subject}{"),
        (" \n", "-"),
    ],
)
def test_a_parameter_is_one_short_printable_line(given: str, sent: str) -> None:
    params = prepare_params("payout_stuck", {**STUCK, "reason": given})
    assert params["reason"] == sent
    assert sent in render("payout_stuck", params)


@pytest.mark.parametrize(
    ("template", "given", "said"),
    [
        ("welcome", STUCK, "there is no text 'welcome'"),
        ("payment_short", STUCK, "payment_short needs order_no, deadline"),
        ("payout_short", {}, "payout_short needs channel, subject, amount_yuan"),
    ],
)
def test_what_cannot_be_filled_in_is_refused(
    template: str, given: dict[str, str], said: str
) -> None:
    with pytest.raises(NotSendable, match=said):
        prepare_params(template, given)
