"""What is said to the gateway about an instruction: the `biz_content` of each method.

Pure, and a function of instruction and settings only, so that a repeat says the same again.
"""

import re
from collections.abc import Callable, Mapping
from typing import Final

from shanmen.common.money import to_yuan
from shanmen.gateway_adapters.domain.operations import OperationKind
from shanmen.gateway_adapters.providers.alipay.outcomes import Method
from shanmen.gateway_adapters.providers.alipay.settings import AlipaySettings
from shanmen.gateway_adapters.providers.base import Instruction
from shanmen.gateway_adapters.providers.calls import InstructionUnfit

BizContent = dict[str, object]

REMARK_NEEDED_FROM_FEN: Final = 50_000 * 100
"""From this amount on a transfer must say what it is for (MEMO_REQUIRED_IN_TRANSFER_ERROR)."""

_NUMBER = re.compile(r"[A-Za-z0-9_]{1,64}")
_USER_ID = re.compile(r"2088\d{12}")
_FORBIDDEN_IN_SUBJECT = str.maketrans("", "", "/=&")


def debit(instruction: Instruction, settings: AlipaySettings) -> BizContent:
    """Debit under a withholding agreement (alipay.trade.pay)."""
    agreement_no = instruction.counterparty.agreement_no
    if not agreement_no:
        raise InstructionUnfit(
            "agreement_missing",
            "the pay account has no withholding agreement (代扣协议): have the distributor sign",
        )
    content: BizContent = {
        "out_trade_no": _number(instruction.number),
        "total_amount": _amount(instruction),
        "subject": _subject(instruction),
        "product_code": settings.debit_product_code,
        "agreement_params": {"agreement_no": agreement_no},
    }
    if settings.seller_id:
        content["seller_id"] = settings.seller_id
    return content


def payout(instruction: Instruction, settings: AlipaySettings) -> BizContent:
    """Transfer to an account of the channel (alipay.fund.trans.uni.transfer)."""
    subject = _subject(instruction)
    content: BizContent = {
        **_transfer_number(instruction, settings),
        "trans_amount": _amount(instruction),
        "order_title": subject,
        "payee_info": _payee(instruction),
    }
    if instruction.amount_fen >= REMARK_NEEDED_FROM_FEN:
        content["remark"] = subject
    if settings.transfer_scene_name:
        content["transfer_scene_name"] = settings.transfer_scene_name
    if settings.transfer_scene_reports:
        content["transfer_scene_report_infos"] = [
            report.model_dump() for report in settings.transfer_scene_reports
        ]
    return content


def refund(instruction: Instruction, settings: AlipaySettings) -> BizContent:
    """Give back a part of a debit (alipay.trade.refund)."""
    return {
        **_refund_number(instruction, settings),
        "refund_amount": _amount(instruction),
        "refund_reason": _subject(instruction),
    }


def _refund_query(instruction: Instruction, settings: AlipaySettings) -> BizContent:
    """A query tells when a refund was paid only if it is asked to."""
    return {**_refund_number(instruction, settings), "query_options": ["gmt_refund_pay"]}


def _debit_number(instruction: Instruction, _settings: AlipaySettings) -> BizContent:
    return {"out_trade_no": _number(instruction.number)}


def _refund_number(instruction: Instruction, _settings: AlipaySettings) -> BizContent:
    if not instruction.original_number:
        raise InstructionUnfit("original_missing", "a refund must name the debit it gives back")
    return {
        "out_trade_no": _number(instruction.original_number),
        "out_request_no": _number(instruction.number),
    }


def _transfer_number(instruction: Instruction, settings: AlipaySettings) -> BizContent:
    return {
        "out_biz_no": _number(instruction.number),
        "product_code": settings.payout_product_code,
        "biz_scene": settings.payout_biz_scene,
    }


Builder = Callable[[Instruction, AlipaySettings], BizContent]

SEND: Final[Mapping[OperationKind, tuple[Method, Builder]]] = {
    OperationKind.DEBIT: (Method.PAY, debit),
    OperationKind.PAYOUT: (Method.TRANSFER, payout),
    OperationKind.REFUND: (Method.REFUND, refund),
}
QUERY: Final[Mapping[OperationKind, tuple[Method, Builder]]] = {
    OperationKind.DEBIT: (Method.QUERY, _debit_number),
    OperationKind.PAYOUT: (Method.TRANSFER_QUERY, _transfer_number),
    OperationKind.REFUND: (Method.REFUND_QUERY, _refund_query),
}
CANCEL: Final[Mapping[OperationKind, tuple[Method, Builder]]] = {
    OperationKind.DEBIT: (Method.CANCEL, _debit_number),
}


def _number(number: str) -> str:
    if _NUMBER.fullmatch(number) is None:
        raise InstructionUnfit(
            "number_invalid", f"{number!r} is not 1 to 64 letters, digits and underscores"
        )
    return number


def _amount(instruction: Instruction) -> str:
    if instruction.amount_fen <= 0:
        raise InstructionUnfit("amount_invalid", "the amount must be at least 0.01 yuan")
    return to_yuan(instruction.amount_fen)


def _subject(instruction: Instruction) -> str:
    """The subject without the characters that the channel refuses, at most 128 long."""
    subject = instruction.subject.translate(_FORBIDDEN_IN_SUBJECT).strip()[:128]
    if not subject:
        raise InstructionUnfit("subject_blank", "the subject is blank without / = &")
    return subject


def _payee(instruction: Instruction) -> dict[str, str]:
    """Who is paid: by user id, or by logon id, which the channel then checks by name."""
    payee = instruction.counterparty
    if _USER_ID.fullmatch(payee.account_no):
        identity = {"identity": payee.account_no, "identity_type": "ALIPAY_USER_ID"}
        return {**identity, "name": payee.account_name} if payee.account_name else identity
    if not payee.account_name:
        raise InstructionUnfit(
            "name_missing", "a payout to an Alipay logon id needs the account's name"
        )
    return {
        "identity": payee.account_no,
        "identity_type": "ALIPAY_LOGON_ID",
        "name": payee.account_name,
    }
