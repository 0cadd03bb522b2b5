"""Without an SMS gateway messages are written down, and phone numbers are not."""

import json
import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from shanmen.common.clock import ManualClock
from shanmen.common.testing.clients import settings_for
from shanmen.gateway_adapters.context import open_sms
from shanmen.gateway_adapters.main import SERVICE
from shanmen.gateway_adapters.providers.sms.base import (
    SmsAnswer,
    SmsOutcome,
    TextMessage,
    mask_phone,
)
from shanmen.gateway_adapters.providers.sms.http_sender import HttpSender
from shanmen.gateway_adapters.providers.sms.local_senders import ConsoleSender, FileSender
from shanmen.gateway_adapters.settings import GatewaySettings

PHONE = "13800001234"
PARAMS = {"order_no": "ord_1", "amount_yuan": "12.30", "deadline": "2026-11-01 18:00"}
MESSAGE = TextMessage("sms_1", PHONE, "payment_short", PARAMS)


def settings(**values: Any) -> GatewaySettings:
    return settings_for(SERVICE, "postgresql+asyncpg://nowhere/x", service_token="t", **values)


async def test_a_file_gets_a_line_for_each_message(tmp_path: Path) -> None:
    path = tmp_path / "new" / "sms.jsonl"
    sender = FileSender(path, ManualClock(datetime(2026, 11, 1, tzinfo=UTC)))
    answers = [await sender.send(MESSAGE) for _ in range(2)]
    assert answers == [SmsAnswer(SmsOutcome.SENT, provider_ref="file")] * 2
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert lines == [lines[0]] * 2
    assert lines[0].pop("text").startswith("【山门】订单ord_1扣款12.30元失败")
    assert lines[0] == {
        "at": "2026-11-01T00:00:00+00:00",
        "request_id": "sms_1",
        "to": "*********34",
    }


async def test_a_file_that_cannot_be_written_is_tried_again(tmp_path: Path) -> None:
    answer = await FileSender(tmp_path, ManualClock()).send(MESSAGE)
    assert answer == SmsAnswer(SmsOutcome.RETRY, "file_unwritable")


async def test_the_log_gets_the_message_without_the_number(
    caplog: pytest.LogCaptureFixture,
) -> None:
    answer = await ConsoleSender().send(MESSAGE)
    assert answer.outcome is SmsOutcome.SENT
    (record,) = caplog.records
    assert "ord_1" in vars(record)["text"]
    assert record.levelno == logging.WARNING
    assert PHONE not in str(vars(record))


def test_a_message_does_not_show_its_number() -> None:
    assert PHONE not in repr(MESSAGE)


@pytest.mark.parametrize(
    ("phone", "masked"), [(PHONE, "*********34"), ("12345", "***45"), ("1234", "****")]
)
def test_two_digits_are_shown_at_most(phone: str, masked: str) -> None:
    assert mask_phone(phone) == masked


async def test_settings_choose_the_sender(tmp_path: Path) -> None:
    clock = ManualClock()
    gateway = {"url": "https://sms.example.com/send", "secret": "s"}
    path = str(tmp_path / "sms.jsonl")
    chosen = [
        open_sms(settings(**values), clock)
        for values in ({}, {"sms_file": path}, {"sms_file": path, "sms": gateway})
    ]
    assert [type(sender) for sender in chosen] == [ConsoleSender, FileSender, HttpSender]
    for sender in chosen:
        await sender.aclose()


@pytest.mark.parametrize("phone", ["138-0000-1234", "1380000", "+8613800001234", "", "一三八"])
def test_the_operators_number_is_digits_or_nothing(phone: str) -> None:
    if phone in {"1380000", "+8613800001234", ""}:
        known = settings(operations_phone=phone).operations_phone
        assert (known.get_secret_value() if known else "") == phone
        return
    with pytest.raises(ValidationError, match="phone number as digits") as refused:
        settings(operations_phone=phone)
    assert phone not in str(refused.value)
