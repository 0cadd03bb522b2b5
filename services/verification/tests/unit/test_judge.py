"""What a gate answers, row by row."""

from datetime import UTC, datetime, timedelta

import pytest

from shanmen.verification.domain import (
    DETAILS,
    Pass,
    RefusalCode,
    Usage,
    Verdict,
    judge,
)

FROM = datetime(2026, 11, 22, 16, tzinfo=UTC)
UNTIL = datetime(2026, 11, 23, 16, tzinfo=UTC)
INSTANT = timedelta(microseconds=1)
BEFORE, FIRST, LAST, OVER = FROM - INSTANT, FROM, UNTIL - INSTANT, UNTIL

UNUSED, USED, EXPIRED, VOIDED = Usage


def held(usage: Usage = UNUSED, *, activated: bool = True, spot_id: str = "spt_a") -> Pass:
    return Pass(
        entitlement_id=f"ent_{spot_id}",
        ticket_no="tkt_1",
        order_no="ord_1",
        spot_id=spot_id,
        usage=usage,
        activated=activated,
        valid_from=FROM,
        valid_until=UNTIL,
        expires_at=UNTIL + timedelta(hours=2),
    )


TABLE = [
    # usage, activated, at, the reason against it (None: admitted)
    (UNUSED, True, BEFORE, RefusalCode.NOT_YET_VALID),
    (UNUSED, True, FIRST, None),
    (UNUSED, True, LAST, None),
    (UNUSED, True, OVER, RefusalCode.EXPIRED),
    (UNUSED, False, BEFORE, RefusalCode.NOT_ACTIVATED),
    (UNUSED, False, FIRST, RefusalCode.NOT_ACTIVATED),
    (UNUSED, False, LAST, RefusalCode.NOT_ACTIVATED),
    (UNUSED, False, OVER, RefusalCode.EXPIRED),
    *[
        (usage, activated, at, code)
        for usage, code in (
            (USED, RefusalCode.ALREADY_USED),
            (EXPIRED, RefusalCode.EXPIRED),
            (VOIDED, RefusalCode.VOIDED),
        )
        for activated in (True, False)
        for at in (BEFORE, FIRST, LAST, OVER)
    ],
]


@pytest.mark.parametrize(("usage", "activated", "at", "code"), TABLE)
def test_every_row(usage: Usage, activated: bool, at: datetime, code: RefusalCode | None) -> None:
    subject = held(usage, activated=activated)

    judgement = judge([subject], "spt_a", at)

    assert judgement.code is code
    assert judgement.verdict is (Verdict.ADMITTED if code is None else Verdict.REFUSED)
    assert judgement.subject is subject


def test_the_table_is_whole() -> None:
    assert len({row[:3] for row in TABLE}) == len(Usage) * 2 * 4 == len(TABLE)


def test_a_ticket_without_passes_is_unknown() -> None:
    judgement = judge([], "spt_a", FIRST)
    assert (judgement.code, judgement.subject) == (RefusalCode.UNKNOWN_TICKET, None)


@pytest.mark.parametrize("usage", Usage)
def test_another_spots_pass_is_the_wrong_spot_whatever_became_of_it(usage: Usage) -> None:
    judgement = judge([held(usage, spot_id="spt_b")], "spt_a", FIRST)
    assert (judgement.code, judgement.subject) == (RefusalCode.WRONG_SPOT, None)


def test_of_a_combined_ticket_only_this_spots_pass_counts() -> None:
    passes = [held(USED, spot_id="spt_b"), held(spot_id="spt_a"), held(VOIDED, spot_id="spt_c")]
    assert judge(passes, "spt_a", FIRST).subject is passes[1]
    assert judge(passes, "spt_a", FIRST).code is None
    assert judge(passes, "spt_b", FIRST).code is RefusalCode.ALREADY_USED
    assert judge(passes, "spt_c", FIRST).code is RefusalCode.VOIDED


def test_every_answer_has_its_sentence() -> None:
    assert set(DETAILS) == {None, *RefusalCode}
    assert len(set(DETAILS.values())) == len(DETAILS)
