"""The texts that this platform sends; an SMS gateway registers them under the same names.

Amounts arrive as yuan. A requester may give more parameters than a text names.
"""

from collections.abc import Mapping
from string import Formatter
from typing import Final

SIGNATURE: Final = "【山门】"
PARAM_LIMIT: Final = 64
"""Characters of one parameter; SMS gateways refuse longer ones."""
BLANK: Final = "-"
"""Stands for an empty parameter, such as the reason of a channel that gave none."""

TEMPLATES: Final[Mapping[str, str]] = {
    "payment_short": (
        "订单{order_no}扣款{amount_yuan}元失败：支付账户余额不足。"
        "请充值并在{deadline}（北京时间）前重新发起支付，逾期订单将自动关闭。"
    ),
    "debit_stuck": (
        "订单{subject}的{channel}扣款{amount_yuan}元待人工处理，原因：{reason}。"
        "请在工作台核实后处理。"
    ),
    "payout_short": (
        "{channel}平台账户余额不足，打款{subject}金额{amount_yuan}元未能结算。"
        "请充值后在工作台人工汇款。"
    ),
    "payout_stuck": (
        "{channel}打款{subject}金额{amount_yuan}元待人工处理，原因：{reason}。"
        "请在工作台核实后处理。"
    ),
    "payout_refused": (
        "{channel}打款{subject}金额{amount_yuan}元被拒，原因：{reason}。"
        "请核对景区收款账户后在工作台人工汇款。"
    ),
    "refund_short": (
        "{channel}平台账户余额不足，退款{subject}金额{amount_yuan}元未能退回。"
        "请充值后在工作台人工退款。"
    ),
    "refund_stuck": (
        "{channel}退款{subject}金额{amount_yuan}元待人工处理，原因：{reason}。"
        "请在工作台核实后处理。"
    ),
    "refund_refused": (
        "{channel}退款{subject}金额{amount_yuan}元被拒，原因：{reason}。请在工作台核实后处理。"
    ),
    "subscribe_short": (
        "{channel}平台账户余额不足，理财申购{subject}金额{amount_yuan}元未能完成。"
        "请充值后在工作台处理。"
    ),
    "subscribe_stuck": (
        "{channel}理财申购{subject}金额{amount_yuan}元待人工处理，原因：{reason}。"
        "请在工作台核实后处理。"
    ),
    "subscribe_refused": (
        "{channel}理财申购{subject}金额{amount_yuan}元被拒，原因：{reason}。"
        "款项仍在平台账户，请在工作台核实后处理。"
    ),
    "redeem_short": (
        "{channel}理财赎回{subject}金额{amount_yuan}元未能完成：持有份额或当日赎回额度不足。"
        "请在工作台核实后处理。"
    ),
    "redeem_stuck": (
        "{channel}理财赎回{subject}金额{amount_yuan}元待人工处理，原因：{reason}。"
        "请在工作台核实后处理。"
    ),
    "redeem_refused": (
        "{channel}理财赎回{subject}金额{amount_yuan}元被拒，原因：{reason}。"
        "款项仍在理财产品中，请在工作台核实后处理。"
    ),
    "liquidate_short": (
        "{channel}理财清算{subject}金额{amount_yuan}元未能完成：当日赎回额度不足。"
        "请在工作台核实后处理。"
    ),
    "liquidate_stuck": (
        "{channel}理财清算{subject}金额{amount_yuan}元待人工处理，原因：{reason}。"
        "请在工作台核实后处理。"
    ),
    "liquidate_refused": (
        "{channel}理财清算{subject}金额{amount_yuan}元被拒，原因：{reason}。"
        "款项仍在理财产品中，请在工作台核实后处理。"
    ),
    "reconciliation_breaks": (
        "{channel}{bill_date}对账发现{breaks}处新差异，金额合计{amount_yuan}元。请在工作台核实后处理。"
    ),
}

_NAMES: Final[Mapping[str, Mapping[str, str]]] = {
    "channel": {"alipay": "支付宝", "huijinbao": "汇金宝"},
}
"""How a parameter's value is called in a text, where people know it by another name."""


class NotSendable(ValueError):
    """There is no such text, or it cannot be filled in with what was given."""


def param_names(template: str) -> tuple[str, ...]:
    """The parameters that a text names, in its order. Raises NotSendable for an unknown one."""
    if template not in TEMPLATES:
        raise NotSendable(f"there is no text {template!r}; there are {', '.join(TEMPLATES)}")
    return tuple(name for _, name, _, _ in Formatter().parse(TEMPLATES[template]) if name)


def prepare_params(template: str, given: Mapping[str, str]) -> dict[str, str]:
    """The parameters of a text as they are sent: just those it names, printable, one line, short.

    Raises NotSendable for an unknown text, and when a parameter is missing.
    """
    names = param_names(template)
    missing = [name for name in names if name not in given]
    if missing:
        raise NotSendable(f"{template} needs {', '.join(missing)}")
    return {name: _short(_NAMES.get(name, {}).get(given[name], given[name])) for name in names}


def render(template: str, params: Mapping[str, str]) -> str:
    """The signed text that a phone shows, of parameters as `prepare_params` made them."""
    return SIGNATURE + TEMPLATES[template].format_map(params)


def _short(value: str) -> str:
    line = " ".join("".join(c if c.isprintable() else " " for c in value).split())
    if len(line) > PARAM_LIMIT:
        return f"{line[: PARAM_LIMIT - 1]}…"
    return line or BLANK
