"""What a pass is, what may become of it, and what a gate answers. Everything here is pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from shanmen.common.statemachine import Machine, table


class Usage(StrEnum):
    """What became of the right to enter one spot. Verification is its only writer."""

    UNUSED = "unused"
    """未使用: nobody has entered with it yet."""
    USED = "used"
    """已使用: its visitor was admitted, once."""
    EXPIRED = "expired"
    """已过期: validity and the offline grace ended without a visit."""
    VOIDED = "voided"
    """作废: made unusable before any visit, so that it can be refunded."""


USAGE: Final = Machine(
    "usage",
    Usage.UNUSED,
    table(
        [
            (Usage.UNUSED, [Usage.USED, Usage.EXPIRED, Usage.VOIDED]),
            (Usage.USED, []),
            (Usage.EXPIRED, []),
            (Usage.VOIDED, []),
        ]
    ),
)


class Verdict(StrEnum):
    """What the gate does."""

    ADMITTED = "admitted"
    """放行: the visitor enters, and the entitlement is used up."""
    REFUSED = "refused"
    """拒绝: the visitor does not enter, for the reason in the refusal code."""


class RefusalCode(StrEnum):
    """Why a gate refuses. Stable: devices decide on it."""

    UNREADABLE = "unreadable"
    """无法识别: not a ticket code of ours at all."""
    FORGED = "forged"
    """伪造: reads like a ticket code, but we did not sign it."""
    UNKNOWN_TICKET = "unknown_ticket"
    """票号不存在: signed by us, and nothing is known of it (yet)."""
    WRONG_SPOT = "wrong_spot"
    """非本景区: gives no right to enter this spot."""
    NOT_ACTIVATED = "not_activated"
    """待激活: no visitor is bound to it yet."""
    NOT_YET_VALID = "not_yet_valid"
    """未到有效期: before the first day of its validity."""
    EXPIRED = "expired"
    """已过期: validity is over."""
    ALREADY_USED = "already_used"
    """已使用: somebody entered with it before."""
    VOIDED = "voided"
    """已作废: cancelled before any visit."""


DETAILS: Final[Mapping[RefusalCode | None, str]] = {
    None: "Admitted (放行).",
    RefusalCode.UNREADABLE: "This is not a ticket code (无法识别). Scan the code on the ticket.",
    RefusalCode.FORGED: "The signature of this code is not ours (伪造).",
    RefusalCode.UNKNOWN_TICKET: "This ticket is not known (票号不存在). "
    "If it was issued a moment ago, scan it again.",
    RefusalCode.WRONG_SPOT: "This ticket is not for this spot (非本景区).",
    RefusalCode.NOT_ACTIVATED: "No visitor is bound to this ticket yet (待激活). "
    "It has to be activated first.",
    RefusalCode.NOT_YET_VALID: "This ticket is not valid yet (未到有效期).",
    RefusalCode.EXPIRED: "This ticket's validity is over (已过期).",
    RefusalCode.ALREADY_USED: "This ticket was used before (已使用).",
    RefusalCode.VOIDED: "This ticket was cancelled (已作废).",
}
"""What a gate shows, by refusal code; None is an admission."""


@dataclass(frozen=True)
class Admission:
    """How a pass was used up: by which scan, when (UTC), and on which device."""

    scan_id: str
    at: datetime
    device: str


@dataclass(frozen=True)
class Pass:
    """One ticket's right to enter one spot, as verification keeps it. Instants in UTC.

    Valid while `valid_from <= t < valid_until`. Unused at `expires_at` (`valid_until` and the
    spot's offline grace) it expires for good. `admission` is there exactly when it is used.
    """

    entitlement_id: str
    ticket_no: str
    order_no: str
    spot_id: str
    usage: Usage
    activated: bool
    valid_from: datetime
    valid_until: datetime
    expires_at: datetime
    admission: Admission | None = None
    voided_at: datetime | None = None
    expired_at: datetime | None = None


@dataclass(frozen=True)
class Judgement:
    """An answer at the gate: admitted when `code` is None, else why not.

    `subject` is the pass that the answer is about. It is None for a ticket that is unknown or for
    another spot, so that nothing about another spot's pass can reach this one.
    """

    code: RefusalCode | None
    detail: str
    subject: Pass | None = None

    @property
    def verdict(self) -> Verdict:
        """What the gate does."""
        return Verdict.ADMITTED if self.code is None else Verdict.REFUSED


@dataclass(frozen=True)
class Scan:
    """One reading of a code at a gate, and the answer it got. Kept for ever."""

    scan_id: str
    spot_id: str
    device: str
    ticket_no: str | None
    """Of a genuine code only: nobody vouches for what others say."""
    qr_sha256: str
    scanned_at: datetime
    judgement: Judgement


def judge(passes: Sequence[Pass], spot_id: str, at: datetime) -> Judgement:
    """What the gate of a spot answers at an instant to a ticket with these passes.

    A reason that nobody can mend comes before one that somebody can.
    """
    if not passes:
        return answer(RefusalCode.UNKNOWN_TICKET)
    subject = next((held for held in passes if held.spot_id == spot_id), None)
    if subject is None:
        return answer(RefusalCode.WRONG_SPOT)
    return answer(_reason_against(subject, at), subject)


def answer(code: RefusalCode | None, subject: Pass | None = None) -> Judgement:
    """The judgement with a code's usual sentence."""
    return Judgement(code, DETAILS[code], subject)


_SPENT: Final[Mapping[Usage, RefusalCode]] = {
    Usage.USED: RefusalCode.ALREADY_USED,
    Usage.EXPIRED: RefusalCode.EXPIRED,
    Usage.VOIDED: RefusalCode.VOIDED,
}


def _reason_against(held: Pass, at: datetime) -> RefusalCode | None:
    if held.usage is not Usage.UNUSED:
        return _SPENT[held.usage]
    if at >= held.valid_until:
        return RefusalCode.EXPIRED
    if not held.activated:
        return RefusalCode.NOT_ACTIVATED
    if at < held.valid_from:
        return RefusalCode.NOT_YET_VALID
    return None
