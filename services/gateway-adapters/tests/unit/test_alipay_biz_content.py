"""What is said to Alipay for each kind of instruction."""

from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from shanmen.gateway_adapters.domain.operations import OperationKind
from shanmen.gateway_adapters.providers.alipay import biz_content
from shanmen.gateway_adapters.providers.alipay.outcomes import Method
from shanmen.gateway_adapters.providers.alipay.settings import AlipaySettings, TransferSceneReport
from shanmen.gateway_adapters.providers.base import Counterparty, Instruction
from shanmen.gateway_adapters.providers.calls import InstructionUnfit

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
SETTINGS = AlipaySettings.model_validate(
    {
        "app_id": "2021",
        "platform_user_id": "2088000000000001",
        "app_private_key": KEY.private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        ).decode(),
        "alipay_public_key": KEY.public_key()
        .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        .decode(),
    }
)
DEBIT = Instruction(
    number="D1",
    kind=OperationKind.DEBIT,
    amount_fen=8_888,
    counterparty=Counterparty("2088000000000009", "经销商", agreement_no="20265555"),
    subject="黄山/门票 a=b & c",
)
PAYOUT = replace(
    DEBIT, number="P1", kind=OperationKind.PAYOUT, counterparty=Counterparty("a@b.cn", "黄山景区")
)
REFUND = replace(DEBIT, number="R1", kind=OperationKind.REFUND, original_number="D1")


def sent(instruction: Instruction, settings: AlipaySettings = SETTINGS) -> dict[str, object]:
    return biz_content.SEND[instruction.kind][1](instruction, settings)


def asked(instruction: Instruction) -> dict[str, object]:
    return biz_content.QUERY[instruction.kind][1](instruction, SETTINGS)


def test_a_debit_under_agreement() -> None:
    assert sent(DEBIT) == {
        "out_trade_no": "D1",
        "total_amount": "88.88",
        "subject": "黄山门票 ab  c",
        "product_code": "GENERAL_WITHHOLDING",
        "agreement_params": {"agreement_no": "20265555"},
    }
    paid_elsewhere = SETTINGS.model_copy(
        update={"seller_id": "2088000000000002", "debit_product_code": "CYCLE_PAY_AUTH"}
    )
    content = sent(DEBIT, paid_elsewhere)
    assert content["seller_id"] == "2088000000000002"
    assert content["product_code"] == "CYCLE_PAY_AUTH"


def test_a_payout_to_a_logon_id_is_checked_by_name() -> None:
    assert sent(PAYOUT) == {
        "out_biz_no": "P1",
        "trans_amount": "88.88",
        "product_code": "TRANS_ACCOUNT_NO_PWD",
        "biz_scene": "DIRECT_TRANSFER",
        "order_title": "黄山门票 ab  c",
        "payee_info": {
            "identity": "a@b.cn",
            "identity_type": "ALIPAY_LOGON_ID",
            "name": "黄山景区",
        },
        "transfer_scene_name": "业务结算",
    }


@pytest.mark.parametrize(
    ("account_no", "identity_type"),
    [
        ("2088123412341234", "ALIPAY_USER_ID"),
        ("208812341234123", "ALIPAY_LOGON_ID"),
        ("20881234123412345", "ALIPAY_LOGON_ID"),
        ("13800138000", "ALIPAY_LOGON_ID"),
        ("x2088123412341234", "ALIPAY_LOGON_ID"),
    ],
)
def test_the_shape_of_the_account_tells_its_type(account_no: str, identity_type: str) -> None:
    content = sent(replace(PAYOUT, counterparty=Counterparty(account_no, "黄山景区")))
    assert content["payee_info"] == {
        "identity": account_no,
        "identity_type": identity_type,
        "name": "黄山景区",
    }


@pytest.mark.parametrize(("amount_fen", "has_remark"), [(4_999_999, False), (5_000_000, True)])
def test_a_remark_is_given_from_fifty_thousand_yuan(amount_fen: int, has_remark: bool) -> None:
    content = sent(replace(PAYOUT, amount_fen=amount_fen))
    assert content.get("remark") == ("黄山门票 ab  c" if has_remark else None)


def test_the_transfer_scene_is_configured() -> None:
    reported = SETTINGS.model_copy(
        update={
            "transfer_scene_reports": (
                TransferSceneReport(info_type="结算款项名称", info_content="门票"),
            )
        }
    )
    assert sent(PAYOUT, reported)["transfer_scene_report_infos"] == [
        {"info_type": "结算款项名称", "info_content": "门票"}
    ]
    assert "transfer_scene_name" not in sent(
        PAYOUT, SETTINGS.model_copy(update={"transfer_scene_name": None})
    )


def test_a_refund_names_its_debit_and_itself() -> None:
    assert sent(REFUND) == {
        "out_trade_no": "D1",
        "out_request_no": "R1",
        "refund_amount": "88.88",
        "refund_reason": "黄山门票 ab  c",
    }


def test_the_queries() -> None:
    assert asked(DEBIT) == {"out_trade_no": "D1"}
    assert asked(REFUND) == {
        "out_trade_no": "D1",
        "out_request_no": "R1",
        "query_options": ["gmt_refund_pay"],
    }
    assert asked(PAYOUT) == {
        "out_biz_no": "P1",
        "product_code": "TRANS_ACCOUNT_NO_PWD",
        "biz_scene": "DIRECT_TRANSFER",
    }
    assert {kind: method for kind, (method, _) in biz_content.QUERY.items()} == {
        OperationKind.DEBIT: Method.QUERY,
        OperationKind.PAYOUT: Method.TRANSFER_QUERY,
        OperationKind.REFUND: Method.REFUND_QUERY,
    }


@pytest.mark.parametrize(
    ("instruction", "code"),
    [
        (replace(DEBIT, counterparty=Counterparty("2088000000000009", "经")), "agreement_missing"),
        (replace(DEBIT, number="D-1"), "number_invalid"),
        (replace(DEBIT, number="D" * 65), "number_invalid"),
        (replace(DEBIT, number=""), "number_invalid"),
        (replace(DEBIT, number="D1\n"), "number_invalid"),
        (replace(DEBIT, amount_fen=0), "amount_invalid"),
        (replace(PAYOUT, amount_fen=-5), "amount_invalid"),
        (replace(DEBIT, subject=" /=& "), "subject_blank"),
        (replace(REFUND, original_number=None), "original_missing"),
        (replace(PAYOUT, counterparty=Counterparty("a@b.cn", "")), "name_missing"),
    ],
)
def test_what_cannot_be_asked_is_refused_before_it_is_sent(
    instruction: Instruction, code: str
) -> None:
    with pytest.raises(InstructionUnfit) as refusal:
        sent(instruction)
    assert refusal.value.code == code
