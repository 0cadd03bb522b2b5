"""What verification's API takes and gives. Instants are UTC, RFC 3339."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from shanmen.verification.domain import Judgement, Pass, RefusalCode, Scan, Usage, Verdict

_ABOUT_VALIDITY = frozenset({RefusalCode.NOT_YET_VALID, RefusalCode.EXPIRED})


class ScanRequest(BaseModel):
    """A code as the gate's reader read it."""

    model_config = ConfigDict(extra="forbid")

    qr: str = Field(
        min_length=1,
        max_length=7089,  # the most that a QR code can hold (ISO/IEC 18004, version 40-L)
        description="The whole text of the code (二维码), unchanged. "
        "A text that is no ticket code is a scan as well, and is refused.",
    )


class FirstAdmission(BaseModel):
    """Who was admitted on this ticket before."""

    scan_id: str
    at: datetime
    device: str
    spot_id: str


class ScanView(BaseModel):
    """A scan (验票) and its verdict."""

    scan_id: str
    verdict: Verdict = Field(description="`admitted` 放行 or `refused` 拒绝.")
    code: RefusalCode | None = Field(description="Why it was refused; null when admitted.")
    detail: str = Field(description="The same for a person.")
    spot_id: str
    device: str = Field(description="The credential that scanned.")
    ticket_no: str | None = Field(
        description="Ticket number (票务编号), when the code's signature was ours."
    )
    entitlement_id: str | None = Field(description="The right to enter that this was about.")
    scanned_at: datetime
    first_admission: FirstAdmission | None = Field(description="With `already_used` only.")
    valid_from: datetime | None = Field(description="With `not_yet_valid` and `expired` only.")
    valid_until: datetime | None = Field(
        description="Exclusive; with `not_yet_valid` and `expired` only."
    )

    @classmethod
    def of(cls, scan: Scan) -> "ScanView":
        """Show a scan."""
        judgement, subject = scan.judgement, scan.judgement.subject
        dated = subject if judgement.code in _ABOUT_VALIDITY else None
        spent = subject if judgement.code is RefusalCode.ALREADY_USED else None
        return cls(
            scan_id=scan.scan_id,
            verdict=judgement.verdict,
            code=judgement.code,
            detail=judgement.detail,
            spot_id=scan.spot_id,
            device=scan.device,
            ticket_no=scan.ticket_no,
            entitlement_id=subject.entitlement_id if subject else None,
            scanned_at=scan.scanned_at,
            first_admission=_first_admission(spent),
            valid_from=dated.valid_from if dated else None,
            valid_until=dated.valid_until if dated else None,
        )


class AnswerNow(BaseModel):
    """What a gate would answer right now."""

    verdict: Verdict
    code: RefusalCode | None
    detail: str


class PassView(BaseModel):
    """One ticket's right to enter one spot, and why a gate would (not) open."""

    entitlement_id: str
    order_no: str
    spot_id: str
    usage: Usage = Field(description="未使用, 已使用, 已过期 or 作废.")
    activated: bool = Field(description="Whether it may be used: its visitor (游玩人) is bound.")
    valid_from: datetime
    valid_until: datetime = Field(description="Gates refuse from this instant on.")
    expires_at: datetime = Field(description="Unused at this instant, it expires for good.")
    first_admission: FirstAdmission | None
    voided_at: datetime | None
    expired_at: datetime | None
    now: AnswerNow

    @classmethod
    def of(cls, held: Pass, now: Judgement) -> "PassView":
        """Show a pass with the judgement that a scan of it would get."""
        return cls(
            entitlement_id=held.entitlement_id,
            order_no=held.order_no,
            spot_id=held.spot_id,
            usage=held.usage,
            activated=held.activated,
            valid_from=held.valid_from,
            valid_until=held.valid_until,
            expires_at=held.expires_at,
            first_admission=_first_admission(held),
            voided_at=held.voided_at,
            expired_at=held.expired_at,
            now=AnswerNow(verdict=now.verdict, code=now.code, detail=now.detail),
        )


class TicketPasses(BaseModel):
    """The passes of a ticket: a spot sees its own, the platform all of them."""

    ticket_no: str
    passes: list[PassView]


def _first_admission(held: Pass | None) -> FirstAdmission | None:
    if held is None or held.admission is None:
        return None
    first = held.admission
    return FirstAdmission(
        scan_id=first.scan_id, at=first.at, device=first.device, spot_id=held.spot_id
    )
