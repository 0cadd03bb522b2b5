"""Text messages against the simulated SMS gateway over HTTP: one message each, whatever happens,
and no phone number anywhere on our side."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from shanmen.common.clock import SystemClock
from shanmen.common.telemetry import JsonFormatter
from shanmen.common.testing.events import deliver
from shanmen.common.testing.fixtures import OpenDatabase
from shanmen.common.testing.principals import FakeIntrospector
from shanmen.contracts.gateway import SmsRequested
from shanmen.gateway_adapters.main import SERVICE
from shanmen.gateway_adapters.providers.sms.base import SmsAnswer, TextMessage
from shanmen.gateway_adapters.providers.sms.http_sender import HttpSender
from shanmen.gateway_adapters.providers.sms.settings import SmsSettings
from shanmen.gateway_adapters.tables import MESSAGES
from shanmen.gateway_adapters.testing import Desk, KnownContacts, open_desk
from shanmen.gateway_adapters.usecases.messaging import send_due_messages
from shanmen.simulators.sms.app import Settings, create_app
from shanmen.simulators.testing.servers import free_port, served

PHONE = "13800001234"
OPERATIONS_PHONE = "13900005678"
SECRET = "a shared secret"
PARAMS = {"order_no": "ord_1", "amount_yuan": "12.30", "deadline": "2026-11-01 18:00"}


def short(sms_id: str = "sms_1") -> SmsRequested:
    return SmsRequested(sms_id=sms_id, recipient="dst_1", template="payment_short", params=PARAMS)


def payout_short(sms_id: str) -> SmsRequested:
    params = {"amount_yuan": "9.00", "subject": "pay_1", "channel": "alipay"}
    return SmsRequested(
        sms_id=sms_id, recipient=SmsRequested.OPERATIONS, template="payout_short", params=params
    )


class DyingSender(HttpSender):
    """Never tells what was answered, as if the process had died just then."""

    def __init__(self, settings: SmsSettings) -> None:
        super().__init__(settings, SystemClock())
        self.answered = asyncio.Event()

    async def send(self, message: TextMessage) -> SmsAnswer:
        """See SmsSender."""
        await super().send(message)
        self.answered.set()
        never: asyncio.Future[SmsAnswer] = asyncio.get_running_loop().create_future()
        return await never


class Post:
    """The simulated gateway, and desks that send through it."""

    def __init__(self, folder: Path, database: Any, tokens: FakeIntrospector) -> None:
        self._folder = folder
        self._database = database
        self._tokens = tokens
        self._senders: list[HttpSender] = []
        self.port = free_port()
        self.contacts = KnownContacts({"dst_1": PHONE})

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Let the gateway answer."""
        async with served(create_app(Settings(self._folder, SECRET)), self.port):
            yield

    def settings(self, **values: Any) -> SmsSettings:
        url = f"http://127.0.0.1:{self.port}/sms/send"
        return SmsSettings.model_validate({"url": url, "secret": SECRET, **values})

    def desk(self, sender: HttpSender | None = None, **settings: Any) -> Desk:
        self._senders.append(sender or HttpSender(self.settings(), SystemClock()))
        return open_desk(
            self._database,
            self._tokens,
            {},
            contacts=self.contacts,
            sms=self._senders[-1],
            operations_phone=OPERATIONS_PHONE,
            **settings,
        )

    async def kept(self) -> list[tuple[str, str, str]]:
        """(request id, recipient's number, template) of the messages that the gateway keeps."""
        base_url = f"http://127.0.0.1:{self.port}"
        async with httpx.AsyncClient(base_url=base_url, trust_env=False, timeout=30) as http:
            messages = (await http.get("/admin/messages")).json()["messages"]
        return [(each["request_id"], each["to"], each["template"]) for each in messages]

    async def aclose(self) -> None:
        for sender in self._senders:
            await sender.aclose()


@pytest.fixture
async def post(
    tmp_path: Path, open_database: OpenDatabase, tokens: FakeIntrospector
) -> AsyncIterator[Post]:
    made = Post(tmp_path, await open_database(SERVICE), tokens)
    yield made
    await made.aclose()


async def statuses(desk: Desk) -> dict[str, tuple[str, str | None]]:
    return {row.sms_id: (row.status, row.error) for row in await desk.rows(MESSAGES)}


async def test_eight_repeats_at_once_are_one_message(post: Post) -> None:
    desk = post.desk()
    async with post.open():
        await asyncio.gather(*(deliver(desk.inbox, short()) for _ in range(8)))
        await asyncio.gather(*(send_due_messages(desk.ctx) for _ in range(8)))
        assert await post.kept() == [("sms_1", PHONE, "payment_short")]
    (row,) = await desk.rows(MESSAGES)
    assert (row.status, row.attempts, row.provider_ref) == ("sent", 1, "1")


async def test_a_process_that_dies_before_it_knows_leaves_one_message(post: Post) -> None:
    dying = DyingSender(post.settings())
    desk, heir = post.desk(dying), post.desk()
    async with post.open():
        await desk.request(short())
        last_round = asyncio.create_task(send_due_messages(desk.ctx))
        await asyncio.wait_for(dying.answered.wait(), 5)
        last_round.cancel()
        await asyncio.wait([last_round])
        (row,) = await heir.rows(MESSAGES)
        assert (row.status, row.attempts) == ("open", 1)

        await send_due_messages(heir.ctx)
        assert (await statuses(heir))["sms_1"] == ("open", None)  # the claim still runs
        heir.clock.advance(timedelta(seconds=heir.ctx.settings.attempt_lease_s + 1))
        await send_due_messages(heir.ctx)
        assert await post.kept() == [("sms_1", PHONE, "payment_short")]
    (row,) = await heir.rows(MESSAGES)
    assert (row.status, row.attempts, row.provider_ref) == ("sent", 2, "1")


async def test_while_the_gateway_is_down_messages_wait(post: Post) -> None:
    desk = post.desk()
    await deliver(desk.inbox, *(short(f"sms_{number}") for number in range(3)))
    await send_due_messages(desk.ctx)
    assert set((await statuses(desk)).values()) == {("open", "connection_lost")}
    desk.clock.advance(timedelta(seconds=10))
    async with post.open():
        await send_due_messages(desk.ctx)
        assert sorted(await post.kept()) == [
            (f"sms_{number}", PHONE, "payment_short") for number in range(3)
        ]
    assert set((await statuses(desk)).values()) == {("sent", None)}


def wrong_secret(post: Post) -> HttpSender:
    return HttpSender(post.settings(secret="another secret"), SystemClock())


def wrong_path(post: Post) -> HttpSender:
    url = f"http://127.0.0.1:{post.port}/elsewhere"
    return HttpSender(post.settings(url=url), SystemClock())


@pytest.mark.parametrize(
    ("sender", "error"), [(wrong_secret, "bad_signature"), (wrong_path, "http_404")]
)
async def test_a_wrong_setting_fails_for_all_to_see(
    post: Post,
    sender: Callable[[Post], HttpSender],
    error: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    desk = post.desk(sender(post))
    async with post.open():
        await desk.request(short())
        await send_due_messages(desk.ctx)
        assert await post.kept() == []
    assert await statuses(desk) == {"sms_1": ("failed", error)}
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    told = {name: vars(record)[name] for name in ("sms_id", "recipient", "template", "error")}
    assert told == {
        "sms_id": "sms_1",
        "recipient": "dst_1",
        "template": "payment_short",
        "error": error,
    }


async def test_an_id_that_went_to_another_number_is_not_taken_for_sent(post: Post) -> None:
    dying = DyingSender(post.settings())
    desk, heir = post.desk(dying), post.desk()
    async with post.open():
        await desk.request(short())
        last_round = asyncio.create_task(send_due_messages(desk.ctx))
        await asyncio.wait_for(dying.answered.wait(), 5)
        last_round.cancel()
        await asyncio.wait([last_round])
        post.contacts.phones["dst_1"] = "13700009999"
        heir.clock.advance(timedelta(seconds=heir.ctx.settings.attempt_lease_s + 1))
        await send_due_messages(heir.ctx)
    assert await statuses(heir) == {"sms_1": ("failed", "request_id_reused")}


async def test_no_phone_number_is_logged_or_kept(
    post: Post, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    down, refused, desk = post.desk(), post.desk(wrong_secret(post)), post.desk()
    await down.request(short("sms_down"))
    await send_due_messages(down.ctx)
    async with post.open():
        await refused.request(payout_short("sms_refused"))
        await send_due_messages(refused.ctx)
        await deliver(desk.inbox, short("sms_sent"), payout_short("sms_operations"))
        post.contacts.errors.append(RuntimeError("a defect"))
        await send_due_messages(desk.ctx)
        assert PHONE in str(await post.kept()) or OPERATIONS_PHONE in str(await post.kept())
    formatter = JsonFormatter()
    written = "\n".join(formatter.format(record) for record in caplog.records)
    async with desk.ctx.db.transaction() as tx:
        for table in ("messages", "inbox", "outbox"):
            rows = (await tx.execute(text(f"SELECT t::text FROM {table} t"))).scalars()
            written += "\n".join(rows)
    assert "sms_operations" in written
    assert "a defect" in written
    assert [number for number in (PHONE, OPERATIONS_PHONE) if number in written] == []
