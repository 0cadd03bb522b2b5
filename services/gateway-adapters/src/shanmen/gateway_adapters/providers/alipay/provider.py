"""Alipay behind the port that every clearing channel is seen through."""

import logging
from collections.abc import Iterator
from datetime import date

from shanmen.common.clock import Clock
from shanmen.common.money import from_yuan
from shanmen.contracts.bills import BillLine, WealthPosition
from shanmen.gateway_adapters.domain.operations import Channel
from shanmen.gateway_adapters.providers.alipay import (
    answers,
    bills,
    biz_content,
    notifications,
    outcomes,
)
from shanmen.gateway_adapters.providers.alipay.biz_content import Builder
from shanmen.gateway_adapters.providers.alipay.client import AlipayClient, VerifiedAnswer
from shanmen.gateway_adapters.providers.alipay.outcomes import Method
from shanmen.gateway_adapters.providers.alipay.settings import AlipaySettings
from shanmen.gateway_adapters.providers.base import (
    Answer,
    Balance,
    BalanceUnavailable,
    BillDownload,
    BillNotReady,
    BillUnavailable,
    Instruction,
    Notification,
    NoWealth,
)
from shanmen.gateway_adapters.providers.calls import (
    AnswerMissing,
    AnswerUnverifiable,
    CallFailed,
    InstructionUnfit,
    not_known,
    not_put,
)
from shanmen.gateway_adapters.providers.transport import FORM, HttpxTransport, Transport

_logger = logging.getLogger(__name__)


class AlipayProvider:
    """Debits under agreement, payouts to accounts, refunds, and what became of them."""

    channel = Channel.ALIPAY
    bill_types = bills.BILL_TYPES

    def __init__(
        self, settings: AlipaySettings, clock: Clock, transport: Transport | None = None
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._trusted = settings.trusted_keys()
        self._client = AlipayClient(
            settings, clock, transport or HttpxTransport(FORM, connections=settings.connections)
        )

    async def send(self, instruction: Instruction) -> Answer:
        """Ask for the money to move. Safe to repeat with an identical instruction."""
        method, build = biz_content.SEND[instruction.kind]
        notify_url = self._settings.notify_url if method is Method.PAY else None
        return await self._ask(
            method, build, instruction, None if notify_url is None else str(notify_url)
        )

    async def query(self, instruction: Instruction) -> Answer:
        """Ask what became of it. `Outcome.ABSENT`: the channel knows no such number."""
        method, build = biz_content.QUERY[instruction.kind]
        return await self._ask(method, build, instruction)

    async def cancel(self, instruction: Instruction) -> Answer:
        """Ask that a debit never happen, or be undone.

        `Outcome.OK`: closed unpaid, or paid back. `Outcome.ABSENT`: there was no trade to cancel
        (now), or cancelling failed. Raises ValueError for what is not a debit: a payout and a
        refund cannot be taken back.
        """
        if instruction.kind not in biz_content.CANCEL:
            raise ValueError(f"Alipay cancels debits only, not a {instruction.kind}")
        method, build = biz_content.CANCEL[instruction.kind]
        return await self._ask(method, build, instruction)

    async def balance(self) -> Balance:
        """The platform's available balance. Raises BalanceUnavailable."""
        request = {
            "account_type": "ACCTRANS_ACCOUNT",
            "alipay_user_id": self._settings.platform_user_id,
        }
        try:
            answer = await self._client.call(Method.BALANCE, request)
            if answer.text("code") != outcomes.SUCCESS:
                refusal = f"{answer.text('code')} {answer.text('sub_code')}".strip()
                raise BalanceUnavailable(f"Alipay refused to tell the balance: {refusal}")
            available_fen = from_yuan(answer.text("available_amount"))
        except CallFailed as error:
            raise BalanceUnavailable(f"no verified balance: {error}") from error
        except ValueError as error:
            raise BalanceUnavailable("the answer holds no available_amount") from error
        return Balance(Channel.ALIPAY, available_fen, self._clock.now())

    async def bill(self, day: date) -> tuple[BillDownload, ...]:
        """The bill of a day, a zip file of each type. Raises BillNotReady or BillUnavailable."""
        return tuple([await self._bill_file(day, bill_type) for bill_type in self.bill_types])

    def read_bill(self, file: BillDownload) -> Iterator[BillLine]:
        """The rows of a bill's file. Raises BillUnreadable."""
        return bills.read(file)

    async def position(self, product_id: str) -> WealthPosition:
        """Raises NoWealth: Alipay invests nothing."""
        raise NoWealth(f"Alipay has no wealth management (理财), so none for {product_id}")

    def read_notification(self, body: bytes) -> Notification:
        """Verify a notification's signature and addressee. Raises NotificationRefused."""
        return notifications.read(
            body,
            keys=self._trusted,
            app_id=self._settings.app_id,
            seller_id=self._settings.seller_id,
        )

    def acknowledgement(self, notification: Notification) -> bytes:
        """The exact bytes that stop the channel from resending it."""
        return notifications.ACKNOWLEDGEMENT

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _bill_file(self, day: date, bill_type: str) -> BillDownload:
        request = {"bill_type": bill_type, "bill_date": day.isoformat()}
        try:
            answer = await self._client.call(Method.BILL, request)
            if answer.text("code") != outcomes.SUCCESS:
                raise _no_bill(day, bill_type, answer)
            # The link is good for 30 s, so each file is taken before the next one is asked for.
            content = await self._client.download(answer.text("bill_download_url"))
        except CallFailed as error:
            raise BillUnavailable(f"no bill {bill_type} of {day}: {error}") from error
        return BillDownload(self.channel, day, bill_type, content)

    async def _ask(
        self,
        method: Method,
        build: Builder,
        instruction: Instruction,
        notify_url: str | None = None,
    ) -> Answer:
        """Make one call. Whatever goes wrong on the way is an answer: unknown."""
        try:
            content = build(instruction, self._settings)
            verified = await self._client.call(method, content, notify_url)
        except InstructionUnfit as error:
            return not_put(error)
        except (AnswerMissing, AnswerUnverifiable) as error:
            return not_known(error)
        answer = answers.read(method, instruction, verified)
        if not answer.listed:
            _logger.warning(
                "Alipay answered %s with an unlisted code: %s %s; taken as unknown",
                method.value,
                answer.code,
                answer.sub_code,
            )
        return answer


def _no_bill(day: date, bill_type: str, answer: VerifiedAnswer) -> BillNotReady | BillUnavailable:
    codes = f"{answer.text('code')} {answer.text('sub_code')}".strip()
    said = f"Alipay has no bill {bill_type} of {day}: {codes}"
    if answer.text("sub_code") in outcomes.BILL_NOT_READY:
        return BillNotReady(said)
    return BillUnavailable(said)
