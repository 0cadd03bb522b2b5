"""What is said to Huijinbao about each kind of operation, to the letter."""

from dataclasses import replace
from typing import Any

import pytest

from shanmen.gateway_adapters.domain.operations import OperationKind
from shanmen.gateway_adapters.providers.base import OWN_ACCOUNT, Counterparty, Instruction
from shanmen.gateway_adapters.providers.calls import InstructionUnfit
from shanmen.gateway_adapters.providers.huijinbao import biz
from shanmen.gateway_adapters.providers.huijinbao.settings import HuijinbaoSettings

PLATFORM, DISTRIBUTOR = "6200000000000001", "6200000000000002"
NOTIFY = "https://shanmen.example/notify/huijinbao"
PAYER = Counterparty(DISTRIBUTOR, "经销商甲", "AG1")
DEBIT = Instruction("deb_1", OperationKind.DEBIT, 29, PAYER, "黄山门票", "ord_1")
PAYOUT = replace(DEBIT, number="pay_1", kind=OperationKind.PAYOUT, business_ref="spt_1")
REFUND = replace(DEBIT, number="ref_1", kind=OperationKind.REFUND, original_number="deb_1")
SUBSCRIBE = Instruction("sub_1", OperationKind.SUBSCRIBE, 29, OWN_ACCOUNT, "联票", "prd_1")
REDEEM = replace(SUBSCRIBE, number="red_1", kind=OperationKind.REDEEM)
LIQUIDATE = replace(SUBSCRIBE, number="liq_1", kind=OperationKind.LIQUIDATE, amount_fen=0)
POSITION = {"cst_no": PLATFORM, "product_code": "HJB7D", "biz_no": "prd_1"}


@pytest.fixture
def settings(huijinbao_values: dict[str, Any]) -> HuijinbaoSettings:
    values = {**huijinbao_values, "wealth_product_codes": {"prd_2": "HJB30D"}}
    return HuijinbaoSettings.model_validate(values)


@pytest.mark.parametrize(
    ("instruction", "method", "data"),
    [
        (
            DEBIT,
            "pay",
            {
                "req_seq_id": "deb_1",
                "agreement_no": "AG1",
                "trx_amount": 29,
                "pay_cst_no": DISTRIBUTOR,
                "rcv_cst_no": PLATFORM,
                "biz_no": "ord_1",
                "notify_url": NOTIFY,
            },
        ),
        (
            PAYOUT,
            "transfer",
            {
                "req_seq_id": "pay_1",
                "trx_amount": 29,
                "purpose": "黄山门票",
                "pay_cst_no": PLATFORM,
                "rcv_cst_no": DISTRIBUTOR,
                "biz_no": "spt_1",
                "notify_url": NOTIFY,
            },
        ),
        (
            REFUND,
            "refund",
            {
                "req_seq_id": "ref_1",
                "org_req_seq_id": "deb_1",
                "trx_amount": 29,
                "reason": "黄山门票",
                "notify_url": NOTIFY,
            },
        ),
        (
            SUBSCRIBE,
            "wealth.subscribe",
            {**POSITION, "req_seq_id": "sub_1", "trx_amount": 29},
        ),
        (
            REDEEM,
            "wealth.redeem",
            {**POSITION, "req_seq_id": "red_1", "trx_amount": 29, "mode": "FAST"},
        ),
        (LIQUIDATE, "wealth.liquidate", {**POSITION, "req_seq_id": "liq_1"}),
    ],
)
def test_each_kind_of_operation(
    settings: HuijinbaoSettings, instruction: Instruction, method: str, data: dict[str, object]
) -> None:
    chosen, build = biz.SEND[instruction.kind]
    assert chosen == method
    assert build(instruction, settings) == data
    assert biz.query(instruction, settings) == {
        "org_req_seq_id": instruction.number,
        "biz_type": method.removeprefix("wealth."),
    }


def test_a_cancellation_names_the_order(settings: HuijinbaoSettings) -> None:
    assert biz.cancel(DEBIT, settings) == {"org_req_seq_id": "deb_1"}


def test_a_product_may_have_a_wealth_product_of_its_own(settings: HuijinbaoSettings) -> None:
    other = biz.subscribe(replace(SUBSCRIBE, business_ref="prd_2"), settings)
    assert (other["product_code"], other["biz_no"]) == ("HJB30D", "prd_2")


def test_long_texts_are_cut(settings: HuijinbaoSettings) -> None:
    wordy = "票" * 300
    assert biz.transfer(replace(PAYOUT, subject=wordy), settings)["purpose"] == "票" * 128
    assert biz.refund(replace(REFUND, subject=wordy), settings)["reason"] == "票" * 128


@pytest.mark.parametrize(
    ("instruction", "code"),
    [
        (replace(DEBIT, counterparty=Counterparty(DISTRIBUTOR, "甲")), "agreement_missing"),
        (replace(REFUND, original_number=None), "original_missing"),
        (replace(DEBIT, number=""), "number_invalid"),
        (replace(DEBIT, number="x" * 65), "number_invalid"),
        (replace(PAYOUT, number="a\nb"), "number_invalid"),
        (replace(PAYOUT, amount_fen=0), "amount_invalid"),
        (replace(REDEEM, amount_fen=-1), "amount_invalid"),
    ],
)
def test_what_cannot_be_put(
    settings: HuijinbaoSettings, instruction: Instruction, code: str
) -> None:
    _, build = biz.SEND[instruction.kind]
    with pytest.raises(InstructionUnfit) as unfit:
        build(instruction, settings)
    assert unfit.value.code == code


def test_without_a_wealth_product_nothing_is_invested(huijinbao_values: dict[str, Any]) -> None:
    values = {**huijinbao_values, "wealth_product_code": None}
    settings = HuijinbaoSettings.model_validate(values)
    with pytest.raises(InstructionUnfit, match="wealth_product_code") as unfit:
        biz.subscribe(SUBSCRIBE, settings)
    assert unfit.value.code == "wealth_product_missing"
