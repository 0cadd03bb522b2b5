"""One verified call of a merchant, and reading its `data`."""

import hashlib
import re
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from shanmen.simulators.clearing import Later
from shanmen.simulators.huijinbao.signing import canonical
from shanmen.simulators.huijinbao.wire import Refusal

MAX_AMOUNT_FEN: Final = 100_000_000_00
MAX_KEY_LENGTH: Final = 64

_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


@dataclass(frozen=True)
class Call:
    """A call whose signature was right.

    `merchant` is its row in the books; `base_url` is where the merchant reached the channel,
    and `wall_ms` when, by the clock on the wall.
    `later`, when set, says that the channel accepts an order now and finishes it afterwards;
    `spoilt_by` names the fault of a bill.
    """

    method: str
    merchant: sqlite3.Row
    data: Mapping[str, Any]
    base_url: str = ""
    wall_ms: int = 0
    later: Later | None = None
    spoilt_by: str | None = None

    @property
    def merchant_id(self) -> str:
        """Who calls."""
        return str(self.merchant["merchant_id"])

    @property
    def account_no(self) -> str:
        """The merchant's own account."""
        return str(self.merchant["account_no"])

    def key(self) -> str:
        """The call's own number, `req_seq_id`. Raises Refusal."""
        return self.required("req_seq_id", MAX_KEY_LENGTH)

    def text(self, name: str, max_length: int = 256) -> str | None:
        """An optional text field; an empty one counts as absent. Raises Refusal."""
        value = self.data.get(name)
        if value is None or value == "":
            return None
        if not isinstance(value, str) or len(value) > max_length:
            raise Refusal("HJB_0006", f"{name} must be text of at most {max_length} characters")
        return value

    def required(self, name: str, max_length: int = 256) -> str:
        """A text field that must be there. Raises Refusal."""
        value = self.text(name, max_length)
        if value is None:
            raise Refusal("HJB_0001", name)
        return value

    def amount_fen(self, name: str = "trx_amount") -> int:
        """A positive amount, an integer of fen. Raises Refusal."""
        value = self.data.get(name)
        if value is None:
            raise Refusal("HJB_0001", name)
        if type(value) is not int or not 1 <= value <= MAX_AMOUNT_FEN:
            raise Refusal("HJB_0006", f"{name} must be a whole number of fen, at least 1")
        return value

    def choice(self, name: str, choices: tuple[str, ...]) -> str:
        """One of a few words. Raises Refusal."""
        value = self.required(name)
        if value not in choices:
            raise Refusal("HJB_0006", f"{name} must be one of {', '.join(choices)}")
        return value

    def day(self, name: str) -> date:
        """A day, as `2026-01-02`. Raises Refusal."""
        value = self.required(name)
        try:
            if _DATE.fullmatch(value):
                return date.fromisoformat(value)
        except ValueError:
            pass
        raise Refusal("HJB_0006", f"{name} must be a day such as 2026-01-02")

    def moment_ms(self, name: str) -> int | None:
        """A moment with its zone, in RFC 3339, or nothing. Raises Refusal."""
        value = self.text(name)
        moment = None if value is None else read_moment_ms(value)
        if value is not None and moment is None:
            raise Refusal("HJB_0006", f"{name} must be a moment such as 2026-01-02T03:04:05+08:00")
        return moment

    def fingerprint(self) -> str:
        """What two calls with one number must have in common to be the same call."""
        return hashlib.sha256(self.method.encode() + b"\n" + canonical(self.data)).hexdigest()


def read_moment_ms(text: str) -> int | None:
    """A moment in RFC 3339 with its zone; None for anything else."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return None if moment.tzinfo is None else round(moment.timestamp() * 1000)
