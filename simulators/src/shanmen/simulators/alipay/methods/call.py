"""One verified call of a merchant, and reading its `biz_content`."""

import hashlib
import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from shanmen.simulators.alipay.wire import Refusal, fen
from shanmen.simulators.clearing import Later

MAX_AMOUNT_FEN: Final = 100_000_000_00


@dataclass(frozen=True)
class Call:
    """A call whose signature was right.

    `app` is its row in the books; `invalid_parameter` is this method's sub-code for bad content;
    `base_url` is where the merchant reached the channel, and `wall_ms` when, by the clock on the
    wall.
    `later`, when set, says that the channel accepts a payment now and finishes it afterwards;
    `spoilt_by` names the fault of a bill.
    """

    method: str
    app: sqlite3.Row
    content: Mapping[str, Any]
    notify_url: str | None
    invalid_parameter: str
    base_url: str = ""
    wall_ms: int = 0
    later: Later | None = None
    spoilt_by: str | None = None

    @property
    def merchant_no(self) -> str:
        """The account that the app acts for."""
        return str(self.app["account_no"])

    def text(self, name: str, max_length: int = 256) -> str | None:
        """An optional text field; an empty one counts as absent. Raises Refusal."""
        value = self.content.get(name)
        if value is None or value == "":
            return None
        if not isinstance(value, str) or len(value) > max_length:
            raise self.invalid(f"{name} must be text of at most {max_length} characters")
        return value

    def required(self, name: str, max_length: int = 256) -> str:
        """A text field that must be there. Raises Refusal."""
        value = self.text(name, max_length)
        if value is None:
            raise self.invalid(f"{name} is missing")
        return value

    def amount_fen(self, name: str) -> int:
        """A positive amount, sent in yuan. Raises Refusal."""
        amount_fen = fen(self.content.get(name))
        if amount_fen is None or not 1 <= amount_fen <= MAX_AMOUNT_FEN:
            raise self.invalid(f"{name} must be an amount in yuan with at most two decimals")
        return amount_fen

    def inner(self, name: str) -> Mapping[str, Any]:
        """An object inside the content; empty where it is absent. Raises Refusal."""
        value = self.content.get(name, {})
        if not isinstance(value, dict):
            raise self.invalid(f"{name} must be an object")
        return value

    def fingerprint(self, *amounts: str) -> str:
        """What two calls with one number must have in common to be the same call."""
        same = {**self.content, **{name: fen(self.content.get(name)) for name in amounts}}
        same.pop("query_options", None)
        return hashlib.sha256(json.dumps(same, sort_keys=True).encode()).hexdigest()

    def invalid(self, detail: str) -> Refusal:
        """The refusal of content that the method cannot accept."""
        return Refusal(self.invalid_parameter, f"参数无效: {detail}")
