"""Senders for an installation without an SMS gateway: messages are written down where it runs."""

import asyncio
import json
import logging
from pathlib import Path

from shanmen.common.clock import Clock
from shanmen.gateway_adapters.providers.sms.base import (
    SmsAnswer,
    SmsOutcome,
    TextMessage,
    mask_phone,
)
from shanmen.gateway_adapters.providers.sms.templates import render

log = logging.getLogger(__name__)


class FileSender:
    """Appends each message to a file, one JSON object a line, its phone number masked.

    A message that is sent again is another line with the same `request_id`.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock

    async def send(self, message: TextMessage) -> SmsAnswer:
        """See SmsSender."""
        line = {
            "at": self._clock.now().isoformat(timespec="seconds"),
            "request_id": message.request_id,
            "to": mask_phone(message.phone),
            "text": render(message.template, message.params),
        }
        try:
            await asyncio.to_thread(self._append, json.dumps(line, ensure_ascii=False) + "\n")
        except OSError as error:
            log.warning("the file of text messages cannot be written: %s", error)
            return SmsAnswer(SmsOutcome.RETRY, "file_unwritable")
        return SmsAnswer(SmsOutcome.SENT, provider_ref="file")

    async def aclose(self) -> None:
        """See SmsSender."""

    def _append(self, line: str) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(line)


class ConsoleSender:
    """Writes each message to the log, its phone number masked."""

    async def send(self, message: TextMessage) -> SmsAnswer:
        """See SmsSender."""
        log.warning(
            "text message, for want of an SMS gateway",
            extra={
                "sms_id": message.request_id,
                "to": mask_phone(message.phone),
                "text": render(message.template, message.params),
            },
        )
        return SmsAnswer(SmsOutcome.SENT, provider_ref="console")

    async def aclose(self) -> None:
        """See SmsSender."""
