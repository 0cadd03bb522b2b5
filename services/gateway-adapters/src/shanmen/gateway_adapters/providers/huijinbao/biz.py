"""What is said to Huijinbao about an instruction: the `data` of each method.

Pure, and a function of instruction and settings only, so that a repeat says the same again.
"""

from collections.abc import Callable, Mapping
from typing import Final

from shanmen.gateway_adapters.domain.operations import OperationKind
from shanmen.gateway_adapters.providers.base import Instruction
from shanmen.gateway_adapters.providers.calls import InstructionUnfit
from shanmen.gateway_adapters.providers.huijinbao.outcomes import Method
from shanmen.gateway_adapters.providers.huijinbao.settings import HuijinbaoSettings

Data = dict[str, str | int | None]
Builder = Callable[[Instruction, HuijinbaoSettings], Data]

NUMBER_LIMIT: Final = 64
TEXT_LIMIT: Final = 128


def pay(instruction: Instruction, settings: HuijinbaoSettings) -> Data:
    """Debit a distributor under its agreement (pay)."""
    agreement_no = instruction.counterparty.agreement_no
    if not agreement_no:
        raise InstructionUnfit(
            "agreement_missing",
            "the pay account has no payment agreement (代扣协议): have the distributor sign",
        )
    return {
        "req_seq_id": _number(instruction.number),
        "agreement_no": agreement_no,
        "pay_cst_no": instruction.counterparty.account_no,
        "rcv_cst_no": settings.platform_cst_no,
        "trx_amount": _amount(instruction),
        "biz_no": instruction.business_ref or None,
        "notify_url": _notify_url(settings),
    }


def transfer(instruction: Instruction, settings: HuijinbaoSettings) -> Data:
    """Pay a spot (transfer)."""
    return {
        "req_seq_id": _number(instruction.number),
        "pay_cst_no": settings.platform_cst_no,
        "rcv_cst_no": instruction.counterparty.account_no,
        "trx_amount": _amount(instruction),
        "biz_no": instruction.business_ref or None,
        "purpose": instruction.subject[:TEXT_LIMIT],
        "notify_url": _notify_url(settings),
    }


def refund(instruction: Instruction, settings: HuijinbaoSettings) -> Data:
    """Give back a part of a debit (refund)."""
    if not instruction.original_number:
        raise InstructionUnfit("original_missing", "a refund must name the debit it gives back")
    return {
        "req_seq_id": _number(instruction.number),
        "org_req_seq_id": _number(instruction.original_number),
        "trx_amount": _amount(instruction),
        "reason": instruction.subject[:TEXT_LIMIT],
        "notify_url": _notify_url(settings),
    }


def subscribe(instruction: Instruction, settings: HuijinbaoSettings) -> Data:
    """Put money of the platform's own into the wealth product (wealth.subscribe)."""
    return {**_position(instruction, settings), "trx_amount": _amount(instruction)}


def redeem(instruction: Instruction, settings: HuijinbaoSettings) -> Data:
    """Take part of it out again (wealth.redeem)."""
    return {
        **_position(instruction, settings),
        "trx_amount": _amount(instruction),
        "mode": settings.redeem_mode,
    }


def liquidate(instruction: Instruction, settings: HuijinbaoSettings) -> Data:
    """Take out all there is, with its yield (wealth.liquidate)."""
    return _position(instruction, settings)


def position(product_id: str, settings: HuijinbaoSettings) -> Data:
    """Ask what is invested for a product (wealth.position.query)."""
    product_code = settings.product_code(product_id)
    if product_code is None:
        raise InstructionUnfit(
            "wealth_product_missing",
            f"no wealth product is set up for {product_id}: give wealth_product_code, or name it "
            "in wealth_product_codes",
        )
    return {
        "cst_no": settings.platform_cst_no,
        "product_code": product_code,
        "biz_no": product_id,
    }


def query(instruction: Instruction, _settings: HuijinbaoSettings) -> Data:
    """Ask about an order (order.query)."""
    return {
        "org_req_seq_id": _number(instruction.number),
        "biz_type": BIZ_TYPES[instruction.kind],
    }


def cancel(instruction: Instruction, _settings: HuijinbaoSettings) -> Data:
    """Have an order never happen (order.cancel)."""
    return {"org_req_seq_id": _number(instruction.number)}


SEND: Final[Mapping[OperationKind, tuple[Method, Builder]]] = {
    OperationKind.DEBIT: (Method.PAY, pay),
    OperationKind.PAYOUT: (Method.TRANSFER, transfer),
    OperationKind.REFUND: (Method.REFUND, refund),
    OperationKind.SUBSCRIBE: (Method.SUBSCRIBE, subscribe),
    OperationKind.REDEEM: (Method.REDEEM, redeem),
    OperationKind.LIQUIDATE: (Method.LIQUIDATE, liquidate),
}
BIZ_TYPES: Final[Mapping[OperationKind, str]] = {
    OperationKind.DEBIT: "pay",
    OperationKind.PAYOUT: "transfer",
    OperationKind.REFUND: "refund",
    OperationKind.SUBSCRIBE: "subscribe",
    OperationKind.REDEEM: "redeem",
    OperationKind.LIQUIDATE: "liquidate",
}
"""What a query and a notification call each kind of order."""


def _position(instruction: Instruction, settings: HuijinbaoSettings) -> Data:
    """Which money: the platform's, in the wealth product, set apart by our own product's id."""
    number = _number(instruction.number)
    return {"req_seq_id": number, **position(instruction.business_ref, settings)}


def _number(number: str) -> str:
    if not 0 < len(number) <= NUMBER_LIMIT or not number.isprintable():
        raise InstructionUnfit(
            "number_invalid", f"{number!r} is not 1 to {NUMBER_LIMIT} printable characters"
        )
    return number


def _amount(instruction: Instruction) -> int:
    if instruction.amount_fen <= 0:
        raise InstructionUnfit("amount_invalid", "the amount must be at least 1 fen")
    return instruction.amount_fen


def _notify_url(settings: HuijinbaoSettings) -> str | None:
    return None if settings.notify_url is None else str(settings.notify_url)
