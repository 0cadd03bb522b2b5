"""How things are written between Alipay and a merchant: amounts, times, parameters, answers."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from urllib.parse import parse_qsl

from shanmen.simulators.moments import CHINA

_TIME: Final = "%Y-%m-%d %H:%M:%S"
_YUAN: Final = re.compile(r"(\d{1,9})(?:\.(\d{1,2}))?", re.ASCII)

CHARSETS: Final = {"utf-8": "utf-8", "gbk": "gbk", "gb2312": "gbk"}
"""Accepted values of the `charset` parameter, and the codec each stands for."""


@dataclass(frozen=True)
class Answer:
    """One answer of the gateway: its codes, and the business fields beside them."""

    code: str
    msg: str
    sub_code: str | None = None
    sub_msg: str | None = None
    fields: Mapping[str, object] = field(default_factory=dict)

    def node(self) -> dict[str, object]:
        """The node's value in the order that Alipay writes it, empty fields left out."""
        head = {
            "code": self.code,
            "msg": self.msg,
            "sub_code": self.sub_code,
            "sub_msg": self.sub_msg,
        }
        return {
            name: value for name, value in (head | dict(self.fields)).items() if value is not None
        }


def success(**fields: object) -> Answer:
    """Code 10000: carried out; the fields say what came of it."""
    return Answer("10000", "Success", fields=fields)


class Refusal(Exception):
    """Code 40004, a business refusal: nothing has changed. `sub_code` is Alipay's own."""

    def __init__(self, sub_code: str, sub_msg: str, **fields: object) -> None:
        super().__init__(f"{sub_code}: {sub_msg}")
        self.answer = Answer("40004", "Business Failed", sub_code, sub_msg, fields)


def yuan(amount_fen: int) -> str:
    """An amount as answers carry it: yuan, two decimals."""
    return f"{amount_fen // 100}.{amount_fen % 100:02d}"


def signed_yuan(amount_fen: int) -> str:
    """An amount as bills carry it: yuan, two decimals, a minus where money went out."""
    return f"-{yuan(-amount_fen)}" if amount_fen < 0 else yuan(amount_fen)


def fen(amount_yuan: object) -> int | None:
    """A positive amount in yuan, as text or integer, in fen; None for anything else."""
    match = _YUAN.fullmatch(str(amount_yuan)) if isinstance(amount_yuan, str | int) else None
    if match is None:
        return None
    whole, decimals = match.groups()
    return int(whole) * 100 + int((decimals or "").ljust(2, "0"))


def is_china_time(text: str) -> bool:
    """Whether a request's `timestamp` has the documented form."""
    try:
        return datetime.strptime(text, _TIME).replace(tzinfo=CHINA).strftime(_TIME) == text
    except ValueError:
        return False


def read_parameters(query: bytes, body: bytes) -> dict[str, str]:
    """The parameters of a request, whichever way the client sent them.

    Alipay's own SDKs put the common ones in the query string and `biz_content` in a form; others
    put everything in the query string. Raises UnicodeDecodeError for text in no known charset.
    """
    raw = "&".join(part.decode("ascii") for part in (query, body) if part)
    found = dict(parse_qsl(raw, keep_blank_values=True, encoding="utf-8", errors="replace"))
    codec = CHARSETS.get(found.get("charset", "").lower(), "utf-8")
    return dict(parse_qsl(raw, keep_blank_values=True, encoding=codec, errors="strict"))


def read_content(text: str) -> dict[str, Any] | None:
    """The `biz_content` object, numbers kept as they were written; None if it is not one."""
    try:
        content = json.loads(text, parse_float=str)
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def node_bytes(answer: Answer, charset: str) -> bytes:
    """The exact bytes of an answer's node, which are what gets signed."""
    is_utf8 = charset == "utf-8"
    text = json.dumps(answer.node(), ensure_ascii=not is_utf8, separators=(",", ":"))
    return text.encode(charset)


def envelope(node_name: str, node: bytes, signature: str | None) -> bytes:
    """The whole body of an answer, with `signature` where there is one."""
    tail = b"}" if signature is None else b',"sign":"' + signature.encode() + b'"}'
    return b'{"' + node_name.encode() + b'":' + node + tail
