"""How things are written between Huijinbao and a merchant: codes, answers, envelopes."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

SUCCESS: Final = "S"
PROCESSING: Final = "P"
FAILED: Final = "F"

CODES: Final[dict[str, str]] = {
    "00000000": "成功",
    "00000100": "处理中",
    "HJB_0001": "缺少必填字段",
    "HJB_0005": "余额不足",
    "HJB_0006": "字段格式错误",
    "HJB_0007": "付款方账户不存在",
    "HJB_0008": "收款方账户不存在",
    "HJB_0009": "付款方账户异常",
    "HJB_0010": "收款方账户异常",
    "HJB_0019": "原订单不存在",
    "HJB_0021": "订单不存在",
    "HJB_0023": "请求流水号已被使用且参数不一致",
    "HJB_0040": "超出限额",
    "HJB_0050": "理财产品已关闭",
    "HJB_0051": "超出快速赎回限额",
    "HJB_0090": "调用频次超限",
    "HJB_0098": "验签失败",
    "HJB_0099": "系统错误",
}
"""Every code that the interface documents, and what it says."""


@dataclass(frozen=True)
class Answer:
    """One answer: its code, what became of the business, and the fields beside them."""

    resp_code: str
    trans_stat: str | None
    resp_desc: str
    fields: Mapping[str, object] = field(default_factory=dict)

    def data(self) -> dict[str, object]:
        """The `data` object, absent fields left out."""
        head = {
            "resp_code": self.resp_code,
            "resp_desc": self.resp_desc,
            "trans_stat": self.trans_stat,
        }
        return {
            name: value for name, value in (head | dict(self.fields)).items() if value is not None
        }

    def with_fields(self, **fields: object) -> "Answer":
        """The same answer, saying more."""
        return replace(self, fields={**self.fields, **fields})


def answered(resp_code: str, trans_stat: str | None, **fields: object) -> Answer:
    """An answer with a documented code."""
    return Answer(resp_code, trans_stat, CODES[resp_code], fields)


def success(**fields: object) -> Answer:
    """Carried out; the fields say what came of it."""
    return answered("00000000", SUCCESS, **fields)


class Refusal(Exception):
    """The call is refused for certain, and nothing has changed: its number may be used again."""

    def __init__(self, resp_code: str, detail: str = "") -> None:
        desc = f"{CODES[resp_code]}: {detail}" if detail else CODES[resp_code]
        super().__init__(f"{resp_code} {desc}")
        self.answer = Answer(resp_code, FAILED, desc)


def data_bytes(data: Mapping[str, object]) -> bytes:
    """The exact bytes of a `data` object, which are what gets signed."""
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode()


def envelope(head: Mapping[str, str], data: bytes, signature: str | None) -> bytes:
    """A whole message, with `signature` where there is one."""
    front = json.dumps(dict(head), ensure_ascii=False, separators=(",", ":")).encode()
    tail = b"}" if signature is None else b',"sign":"' + signature.encode() + b'"}'
    return front[:-1] + b',"data":' + data + tail
