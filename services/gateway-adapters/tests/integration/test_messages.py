"""Text messages on PostgreSQL: asked for once, tried again within a window, and visibly failed."""

import asyncio
import logging
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Row, insert
from sqlalchemy.exc import IntegrityError

from shanmen.common.broker.protocol import Fate
from shanmen.common.errors import Unavailable
from shanmen.common.testing.events import deliver
from shanmen.common.testing.fixtures import OpenDatabase
from shanmen.common.testing.principals import FakeIntrospector
from shanmen.contracts.gateway import SmsRequested
from shanmen.gateway_adapters.main import SERVICE
from shanmen.gateway_adapters.providers.sms.base import SmsAnswer, SmsOutcome, TextMessage
from shanmen.gateway_adapters.tables import MESSAGES
from shanmen.gateway_adapters.testing import (
    Desk,
    KnownContacts,
    ScriptedSms,
    open_desk,
)
from shanmen.gateway_adapters.usecases.messaging import send_due_messages

PHONE = "13800001234"
OPERATIONS_PHONE = "13900005678"
PARAMS = {"order_no": "ord_1", "amount_yuan": "12.30", "deadline": "2026-11-01 18:00"}
RETRY = SmsAnswer(SmsOutcome.RETRY, "timeout")


def short(sms_id: str = "sms_1", **given: Any) -> SmsRequested:
    """Distributor `dst_1` is asked to top up its account."""
    usual = {
        "recipient": "dst_1",
        "template": "payment_short",
        "params": PARAMS,
    }
    return SmsRequested(sms_id=sms_id, **{**usual, **given})


@pytest.fixture
def sms() -> ScriptedSms:
    return ScriptedSms()


@pytest.fixture
def contacts() -> KnownContacts:
    return KnownContacts({"dst_1": PHONE, "dst_2": None})


@pytest.fixture
async def desk(
    open_database: OpenDatabase,
    tokens: FakeIntrospector,
    sms: ScriptedSms,
    contacts: KnownContacts,
) -> Desk:
    """A gateway that speaks to `sms`, with the delays of production."""
    database = await open_database(SERVICE)
    return open_desk(
        database, tokens, {}, contacts=contacts, sms=sms, operations_phone=OPERATIONS_PHONE
    )


async def message(desk: Desk, sms_id: str = "sms_1") -> Row[Any]:
    (row,) = [row for row in await desk.rows(MESSAGES) if row.sms_id == sms_id]
    return row


async def send_after(desk: Desk, seconds: float) -> None:
    desk.clock.advance(timedelta(seconds=seconds))
    await send_due_messages(desk.ctx)


async def test_a_message_is_sent_to_the_number_of_its_recipient(
    desk: Desk, sms: ScriptedSms
) -> None:
    sms.will_say(SmsAnswer(SmsOutcome.SENT, provider_ref="7"))
    await desk.request(short())
    await send_due_messages(desk.ctx)
    await send_due_messages(desk.ctx)
    assert sms.calls == [TextMessage("sms_1", PHONE, "payment_short", PARAMS)]
    row = await message(desk)
    assert (row.status, row.attempts, row.provider_ref, row.error) == ("sent", 1, "7", None)
    assert row.sent_at >= row.requested_at


async def test_operators_are_reached_at_their_own_number(desk: Desk, sms: ScriptedSms) -> None:
    await desk.request(
        short(
            recipient=SmsRequested.OPERATIONS,
            template="payout_short",
            params={"amount_yuan": "9.00", "subject": "pay_1", "channel": "alipay"},
        )
    )
    await send_due_messages(desk.ctx)
    assert [call.phone for call in sms.calls] == [OPERATIONS_PHONE]
    assert (await message(desk)).params["channel"] == "支付宝"


async def test_a_message_asked_for_eight_times_at_once_is_sent_once(
    desk: Desk, sms: ScriptedSms
) -> None:
    await desk.request(short())
    others = [short(params={**PARAMS, "amount_yuan": f"{n}.00"}) for n in range(8)]
    verdicts = await asyncio.gather(*(deliver(desk.inbox, other) for other in others))
    assert {verdict.fate for (verdict,) in verdicts} == {Fate.DONE}
    await asyncio.gather(*(send_due_messages(desk.ctx) for _ in range(8)))
    assert [call.params for call in sms.calls] == [PARAMS]
    await desk.request(short())
    await send_after(desk, 3600)
    assert len(sms.calls) == 1
    assert (await message(desk)).status == "sent"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"template": "welcome"}, "there is no text 'welcome'"),
        ({"params": {"order_no": "ord_1"}}, "payment_short needs amount_yuan, deadline"),
        ({"recipient": ""}, "needs an id and a recipient"),
        ({"sms_id": ""}, "needs an id and a recipient"),
    ],
)
async def test_what_cannot_be_sent_is_a_dead_letter(
    desk: Desk, changes: dict[str, Any], said: str
) -> None:
    verdict = await desk.request(short(**{"sms_id": "sms_1", **changes}))
    assert verdict.fate is Fate.DEAD
    assert said in verdict.reason
    assert await desk.rows(MESSAGES) == []


async def test_trouble_is_tried_again_later_each_time(desk: Desk, sms: ScriptedSms) -> None:
    sms.will_say(RETRY, RETRY, RETRY)
    await desk.request(short())
    for attempt, delay_s in ((1, 5), (2, 15), (3, 60)):
        started = desk.clock.now()
        await send_due_messages(desk.ctx)
        row = await message(desk)
        assert (row.status, row.attempts, row.error) == ("open", attempt, "timeout")
        waits_s = (row.next_at - started).total_seconds()
        assert delay_s <= waits_s < 2 * delay_s + 1
        await send_after(desk, delay_s - 1)
        assert len(sms.calls) == attempt
        desk.clock.advance(row.next_at - desk.clock.now())
    await send_due_messages(desk.ctx)
    assert (await message(desk)).status == "sent"
    assert {call.request_id for call in sms.calls} == {"sms_1"}


async def test_a_message_fails_when_its_window_ends(
    desk: Desk, sms: ScriptedSms, caplog: pytest.LogCaptureFixture
) -> None:
    sms.will_say(*[RETRY] * 100)
    await desk.request(short())
    requested_at = (await message(desk)).requested_at
    while (row := await message(desk)).status == "open":
        await send_after(desk, (row.next_at - desk.clock.now()).total_seconds())
    assert (row.status, row.error) == ("failed", "timeout")
    age_s = (desk.clock.now() - requested_at).total_seconds()
    assert 22 * 3600 < age_s <= 24 * 3600
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.getMessage() == "text message failed"
    calls = len(sms.calls)
    await send_after(desk, 24 * 3600)
    assert len(sms.calls) == calls


async def test_a_message_that_nobody_tried_in_time_is_not_sent(
    desk: Desk, sms: ScriptedSms
) -> None:
    await desk.request(short())
    await send_after(desk, 24 * 3600 + 1)
    assert sms.calls == []
    row = await message(desk)
    assert (row.status, row.error) == ("failed", "too_late")


@pytest.mark.parametrize(
    ("recipient", "error"), [("dst_2", "no_phone"), ("dst_9", "unknown_recipient")]
)
async def test_whom_nobody_can_reach_is_not_tried_again(
    desk: Desk, sms: ScriptedSms, recipient: str, error: str
) -> None:
    await desk.request(short(recipient=recipient))
    await send_due_messages(desk.ctx)
    row = await message(desk)
    assert (row.status, row.error, row.attempts) == ("failed", error, 1)
    await send_after(desk, 3600)
    assert sms.calls == []


async def test_without_a_number_of_their_own_operators_are_not_reached(
    open_database: OpenDatabase, tokens: FakeIntrospector, sms: ScriptedSms
) -> None:
    desk = open_desk(await open_database(SERVICE), tokens, {}, sms=sms)
    await desk.request(short(recipient=SmsRequested.OPERATIONS))
    await send_due_messages(desk.ctx)
    row = await message(desk)
    assert (row.status, row.error) == ("failed", "no_phone")


async def test_while_catalog_is_down_a_message_waits(
    desk: Desk, sms: ScriptedSms, contacts: KnownContacts
) -> None:
    contacts.errors.append(Unavailable("catalog is down"))
    await desk.request(short())
    await send_due_messages(desk.ctx)
    row = await message(desk)
    assert (row.status, row.error, sms.calls) == ("open", "catalog_unavailable", [])
    await send_after(desk, 10)
    assert (await message(desk)).status == "sent"


async def test_a_refusal_is_final(desk: Desk, sms: ScriptedSms) -> None:
    sms.will_say(SmsAnswer(SmsOutcome.REFUSED, "bad_request"))
    await desk.request(short())
    await send_due_messages(desk.ctx)
    await send_after(desk, 3600)
    row = await message(desk)
    assert (row.status, row.error, len(sms.calls)) == ("failed", "bad_request", 1)


class SlowSms(ScriptedSms):
    """Answers when it is told to, each call by its own event."""

    def __init__(self) -> None:
        super().__init__()
        self.gates = [asyncio.Event(), asyncio.Event()]
        self.answers = [SmsAnswer(SmsOutcome.SENT, provider_ref="1"), RETRY]
        self.entered = asyncio.Event()

    async def send(self, message: TextMessage) -> SmsAnswer:
        """See SmsSender."""
        turn = len(self.calls)
        self.calls.append(message)
        self.entered.set()
        await self.gates[turn].wait()
        return self.answers[turn]


@pytest.mark.parametrize(
    ("first_says", "status"),
    [
        (SmsAnswer(SmsOutcome.SENT), "sent"),
        (SmsAnswer(SmsOutcome.REFUSED, "bad_request"), "open"),
        (SmsAnswer(SmsOutcome.RETRY, "lost"), "open"),
    ],
)
async def test_an_answer_after_the_claim_ran_out_counts_only_if_it_sent(
    open_database: OpenDatabase,
    tokens: FakeIntrospector,
    contacts: KnownContacts,
    first_says: SmsAnswer,
    status: str,
) -> None:
    sms = SlowSms()
    sms.answers[0] = first_says
    desk = open_desk(await open_database(SERVICE), tokens, {}, contacts=contacts, sms=sms)
    await desk.request(short())
    async with asyncio.TaskGroup() as rounds:
        first = rounds.create_task(send_due_messages(desk.ctx))
        await sms.entered.wait()
        sms.entered.clear()
        desk.clock.advance(timedelta(seconds=desk.ctx.settings.attempt_lease_s + 1))
        rounds.create_task(send_due_messages(desk.ctx))
        await sms.entered.wait()
        sms.gates[0].set()
        await first
        row = await message(desk)
        assert (row.status, row.attempts, row.error) == (status, 2, None)
        sms.gates[1].set()
    row = await message(desk)
    assert (row.status, row.error) == (status, None if status == "sent" else "timeout")


async def test_a_late_answer_mends_a_message_that_failed(
    open_database: OpenDatabase, tokens: FakeIntrospector, contacts: KnownContacts
) -> None:
    sms = SlowSms()
    sms.answers[1] = SmsAnswer(SmsOutcome.REFUSED, "bad_request")
    desk = open_desk(await open_database(SERVICE), tokens, {}, contacts=contacts, sms=sms)
    await desk.request(short())
    async with asyncio.TaskGroup() as rounds:
        rounds.create_task(send_due_messages(desk.ctx))
        await sms.entered.wait()
        desk.clock.advance(timedelta(seconds=desk.ctx.settings.attempt_lease_s + 1))
        sms.gates[1].set()
        await send_due_messages(desk.ctx)
        assert (await message(desk)).status == "failed"
        sms.gates[0].set()
    row = await message(desk)
    assert (row.status, row.provider_ref, row.error) == ("sent", "1", None)


async def test_one_message_that_goes_wrong_holds_up_no_other(
    desk: Desk, sms: ScriptedSms, contacts: KnownContacts
) -> None:
    contacts.errors.append(RuntimeError("a defect"))
    for number in range(10):
        await desk.request(short(f"sms_{number}"))
    await send_due_messages(desk.ctx)
    await send_due_messages(desk.ctx)
    statuses = [row.status for row in await desk.rows(MESSAGES)]
    assert sorted(statuses) == ["open"] + ["sent"] * 9
    await send_after(desk, desk.ctx.settings.attempt_lease_s + 1)
    assert {row.status for row in await desk.rows(MESSAGES)} == {"sent"}


@pytest.mark.parametrize(
    ("changes", "constraint"),
    [
        ({"status": "lost"}, "messages_status_check"),
        ({"status": "sent"}, "messages_sent_at_check"),
        ({"status": "failed"}, "messages_failed_says_why_check"),
        ({"sms_id": "sms_1"}, "messages_pkey"),
    ],
)
async def test_an_impossible_message_is_refused(
    desk: Desk, changes: dict[str, Any], constraint: str
) -> None:
    await desk.request(short())
    row = (await message(desk))._asdict()
    with pytest.raises(IntegrityError, match=constraint):
        async with desk.ctx.db.transaction() as tx:
            await tx.execute(insert(MESSAGES).values({**row, "sms_id": "sms_2", **changes}))
