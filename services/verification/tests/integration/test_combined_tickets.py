"""Combined tickets (联票): one code, and one pass for each spot with a fate of its own."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from shanmen.common.broker.protocol import DONE
from shanmen.common.clock import write_shift
from shanmen.common.idempotency import Reply
from shanmen.common.inbox import Inbox
from shanmen.common.testing.events import deliver
from shanmen.contracts.orders import TicketActivated, TicketsIssued
from shanmen.contracts.verification import VoidRequested
from shanmen.verification import queries
from shanmen.verification.domain import Usage
from shanmen.verification.ports import ScanCommand, VerificationContext
from shanmen.verification.schemas import ScanView
from shanmen.verification.usecases import expire_passes, record_scans

Issue = Callable[..., Awaitable[TicketsIssued]]
Sign = Callable[..., str]
Told = Callable[[VerificationContext], Awaitable[list[tuple[str, dict[str, Any]]]]]

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
SPOTS = ("spt_a", "spt_b", "spt_c")
USED, EXPIRED, VOIDED = (
    f"verification.entitlement_{fate}.v1" for fate in Usage if fate != "unused"
)


async def scan(ctx: VerificationContext, qr: str, spot: str) -> ScanView:
    (answer,) = await record_scans(ctx, [ScanCommand(spot, f"gate of {spot}", qr)])
    assert isinstance(answer, Reply)
    return ScanView.model_validate_json(answer.body)


async def usages(ctx: VerificationContext, ticket_no: str) -> dict[str, str]:
    """What became of a ticket's passes, by spot."""
    async with ctx.db.transaction() as tx:
        _, passes = await queries.read_passes(tx, [ticket_no], ctx.clock.shift)
    return {held.spot_id: str(held.usage) for held in passes[ticket_no]}


def void(order_no: str, *entitlement_ids: str) -> VoidRequested:
    return VoidRequested(
        order_no=order_no, entitlement_ids=entitlement_ids, requested_at=datetime.now(UTC)
    )


async def test_one_code_opens_each_spot_once_on_days_of_its_choice(
    *, ctx: VerificationContext, issue: Issue, sign: Sign, shift_file: Path, told: Told
) -> None:
    now = datetime.now(UTC)
    await issue("tkt_1", "tkt_2", spots=SPOTS, valid_from=now - HOUR, valid_until=now + 3 * DAY)
    code = sign("tkt_1")
    assert (await scan(ctx, code, "spt_b")).code is None

    write_shift(shift_file, DAY)
    second_day = await scan(ctx, code, "spt_a")
    assert second_day.code is None
    assert second_day.scanned_at >= now + DAY
    again = await scan(ctx, code, "spt_b")
    assert again.code == "already_used"
    assert again.first_admission is not None
    assert (again.first_admission.spot_id, again.first_admission.at < now + DAY) == ("spt_b", True)

    write_shift(shift_file, 3 * DAY - 2 * HOUR)
    assert (await scan(ctx, code, "spt_c")).code is None
    assert await usages(ctx, "tkt_1") == dict.fromkeys(SPOTS, "used")
    assert await usages(ctx, "tkt_2") == dict.fromkeys(SPOTS, "unused")
    assert [(kind, data["spot_id"], data["entitlement_id"]) for kind, data in await told(ctx)] == [
        (USED, spot, f"tkt_1@{spot}") for spot in ("spt_b", "spt_a", "spt_c")
    ]


@pytest.mark.parametrize(("here", "there"), [*product(Usage, Usage)])
async def test_a_gate_answers_from_its_own_spots_pass_alone(
    *,
    ctx: VerificationContext,
    inbox: Inbox[VerificationContext],
    issue: Issue,
    sign: Sign,
    here: Usage,
    there: Usage,
) -> None:
    now = datetime.now(UTC)
    fates = {"spt_a": here, "spt_b": there}
    over = {"valid_until": now - HOUR, "expires_at": now - HOUR}
    order = await issue(
        "tkt_1",
        spots=tuple(fates),
        terms_of={spot: over for spot, fate in fates.items() if fate is Usage.EXPIRED},
    )
    for spot, fate in fates.items():
        if fate is Usage.USED:
            await scan(ctx, sign("tkt_1"), spot)
        if fate is Usage.VOIDED:
            assert await deliver(inbox, void(order.order_no, f"tkt_1@{spot}")) == [DONE]
    await expire_passes(ctx)
    assert await usages(ctx, "tkt_1") == {spot: str(fate) for spot, fate in fates.items()}

    answer = await scan(ctx, sign("tkt_1"), "spt_a")

    expected = {"unused": None, "used": "already_used", "expired": "expired", "voided": "voided"}
    assert answer.code == expected[here]
    assert answer.entitlement_id == "tkt_1@spt_a"
    assert (await usages(ctx, "tkt_1"))["spt_b"] == there
    stranger = await scan(ctx, sign("tkt_1"), "spt_c")
    assert (stranger.code, stranger.entitlement_id) == ("wrong_spot", None)


async def test_every_gate_at_once_and_one_visit_for_each_ticket_and_spot(
    *,
    ctx: VerificationContext,
    second_ctx: VerificationContext,
    issue: Issue,
    sign: Sign,
    told: Told,
) -> None:
    """Tickets for different spots, scanned at all of them by two processes, several times."""
    dice = random.Random(4)  # noqa: S311 - the same crowd every time
    gates = (*SPOTS, "spt_d")
    tickets = {f"tkt_{n}": tuple(dice.sample(gates, dice.randrange(2, 4))) for n in range(12)}
    for ticket_no, spots in tickets.items():
        await issue(ticket_no, spots=spots)
    visits = [*product(tickets, gates)] * 3
    dice.shuffle(visits)
    batches = [visits[start : start + 12] for start in range(0, len(visits), 12)]

    async def admit(process: VerificationContext, own: list[list[tuple[str, str]]]) -> list[Any]:
        scans: list[ScanView] = []
        for batch in own:
            commands = [ScanCommand(gate, "dev", sign(ticket_no)) for ticket_no, gate in batch]
            for answer in await record_scans(process, commands):
                assert isinstance(answer, Reply)
                scans.append(ScanView.model_validate_json(answer.body))
        return scans

    halves = await asyncio.gather(admit(ctx, batches[::2]), admit(second_ctx, batches[1::2]))

    scans = [view for half in halves for view in half]
    rights = Counter((ticket, spot) for ticket, spots in tickets.items() for spot in spots)
    assert Counter((s.ticket_no, s.spot_id) for s in scans if s.code is None) == rights
    refused = Counter((s.ticket_no, s.spot_id, s.code) for s in scans if s.code is not None)
    assert refused == Counter(
        {
            **{(*right, "already_used"): 2 for right in rights},
            **{(*v, "wrong_spot"): 3 for v in product(tickets, gates) if v not in rights},
        }
    )
    assert Counter((d["ticket_no"], d["spot_id"]) for _, d in await told(ctx)) == rights


async def test_each_spots_unused_pass_expires_after_its_own_grace(
    *, ctx: VerificationContext, issue: Issue, sign: Sign, shift_file: Path, told: Told
) -> None:
    """Spots in other time zones end their day at other instants, and wait for their own gates."""
    now = datetime.now(UTC)
    ends = {
        # spot: end of validity, grace
        "spt_a": (now + 2 * HOUR, timedelta()),
        "spt_b": (now + 1 * HOUR, 4 * HOUR),
        "spt_c": (now + 3 * HOUR, DAY),
        "spt_d": (now + 2 * HOUR, timedelta()),
    }
    await issue(
        *("tkt_1", "tkt_2"),
        spots=tuple(ends),
        terms_of={
            spot: {"valid_until": end, "expires_at": end + grace}
            for spot, (end, grace) in ends.items()
        },
    )
    for ticket_no in ("tkt_1", "tkt_2"):
        assert (await scan(ctx, sign(ticket_no), "spt_d")).code is None
    steps = [
        # hours from now: what is refused as over, and what has expired by then
        (0.5, set(), set()),
        (1.5, {"spt_b"}, set()),
        (2.5, {"spt_a", "spt_b"}, {"spt_a"}),
        (3.5, {"spt_a", "spt_b", "spt_c"}, {"spt_a"}),
        (5.5, {"spt_a", "spt_b", "spt_c"}, {"spt_a", "spt_b"}),
        (27.5, {"spt_a", "spt_b", "spt_c"}, {"spt_a", "spt_b", "spt_c"}),
        (99.0, {"spt_a", "spt_b", "spt_c"}, {"spt_a", "spt_b", "spt_c"}),
    ]
    before: set[str] = set()
    for hours, refused, expired in steps:
        write_shift(shift_file, hours * HOUR)
        assert await expire_passes(ctx) == 2 * len(expired - before)
        before = expired
        found = await usages(ctx, "tkt_1")
        assert {spot for spot, usage in found.items() if usage == "expired"} == expired
        assert found["spt_d"] == "used"
        for spot in refused:
            assert (hours, (await scan(ctx, sign("tkt_1"), spot)).code) == (hours, "expired")
    events = Counter((kind, data["entitlement_id"]) for kind, data in await told(ctx))
    assert events == Counter(
        (USED if spot == "spt_d" else EXPIRED, f"{ticket_no}@{spot}")
        for ticket_no in ("tkt_1", "tkt_2")
        for spot in ends
    )


async def test_what_one_spot_is_still_open_for_is_admitted_when_another_is_over(
    ctx: VerificationContext, issue: Issue, sign: Sign
) -> None:
    now = datetime.now(UTC)
    over = {"valid_until": now - HOUR, "expires_at": now - HOUR}
    await issue("tkt_1", spots=SPOTS, terms_of={"spt_a": over})
    assert await expire_passes(ctx) == 1
    assert [(await scan(ctx, sign("tkt_1"), spot)).code for spot in SPOTS] == [
        "expired",
        None,
        None,
    ]
    assert await usages(ctx, "tkt_1") == {"spt_a": "expired", "spt_b": "used", "spt_c": "used"}


async def test_a_refunded_spot_is_closed_and_the_others_stay_open(
    ctx: VerificationContext,
    inbox: Inbox[VerificationContext],
    issue: Issue,
    sign: Sign,
    told: Told,
) -> None:
    order = await issue("tkt_1", "tkt_2", spots=SPOTS)
    assert await deliver(inbox, void(order.order_no, "tkt_1@spt_b")) == [DONE]
    assert (await scan(ctx, sign("tkt_1"), "spt_b")).code == "voided"
    assert (await scan(ctx, sign("tkt_1"), "spt_a")).code is None
    assert (await scan(ctx, sign("tkt_2"), "spt_b")).code is None

    every = [f"{ticket}@{spot}" for ticket in ("tkt_1", "tkt_2") for spot in SPOTS]
    assert await deliver(inbox, void(order.order_no, *every)) == [DONE]

    assert await usages(ctx, "tkt_1") == {"spt_a": "used", "spt_b": "voided", "spt_c": "voided"}
    assert await usages(ctx, "tkt_2") == {"spt_a": "voided", "spt_b": "used", "spt_c": "voided"}
    assert Counter((kind, data["entitlement_id"]) for kind, data in await told(ctx)) == Counter(
        [
            *((USED, key) for key in ("tkt_1@spt_a", "tkt_2@spt_b")),
            *((VOIDED, key) for key in ("tkt_1@spt_b", "tkt_1@spt_c", "tkt_2@spt_a")),
            (VOIDED, "tkt_2@spt_c"),
        ]
    )


async def test_one_activation_opens_every_spot(
    ctx: VerificationContext, inbox: Inbox[VerificationContext], issue: Issue, sign: Sign
) -> None:
    order = await issue("tkt_1", "tkt_2", spots=SPOTS, activated=False)
    for spot in SPOTS:
        assert (await scan(ctx, sign("tkt_1"), spot)).code == "not_activated"
    activated = TicketActivated(
        order_no=order.order_no, ticket_no="tkt_1", activated_at=datetime.now(UTC)
    )
    assert await deliver(inbox, activated) == [DONE]
    for spot in SPOTS:
        assert (await scan(ctx, sign("tkt_1"), spot)).code is None
        assert (await scan(ctx, sign("tkt_2"), spot)).code == "not_activated"
