"""The gateway's settings."""

import re

from pydantic import Field, SecretStr, field_validator

from shanmen.common.settings import ClientSettings
from shanmen.gateway_adapters.domain.messages import Patience
from shanmen.gateway_adapters.domain.policy import Policy
from shanmen.gateway_adapters.providers.alipay.settings import AlipaySettings
from shanmen.gateway_adapters.providers.huijinbao.settings import HuijinbaoSettings
from shanmen.gateway_adapters.providers.sms.settings import SmsSettings


class GatewaySettings(ClientSettings):
    """What the gateway is told from outside."""

    alipay: AlipaySettings | None = Field(
        default=None, description="the Alipay channel, as JSON; without it Alipay is switched off"
    )
    huijinbao: HuijinbaoSettings | None = Field(
        default=None,
        description="the Huijinbao channel, as JSON; without it Huijinbao is switched off",
    )
    query_delays_s: tuple[float, ...] = Field(
        default=Policy.query_delays_s, description="before each query of an undecided operation"
    )
    absent_grace_s: float = Field(
        default=Policy.absent_grace_s, description="between two 'not found' that are believed"
    )
    throttle_delays_s: tuple[float, ...] = Field(
        default=Policy.throttle_delays_s, description="before a throttled call is made again"
    )
    operation_window_s: float = Field(
        default=Policy.window_s, description="what is no debit goes to a person after this long"
    )
    attempt_lease_s: float = Field(
        default=30.0,
        description="a call without a recorded answer is unknown after this long: longer than "
        "calls take, as a later answer counts only when it says that the money has moved",
    )
    channel_concurrency: int = Field(
        default=16, ge=1, le=256, description="calls in flight per channel and process"
    )
    channel_rate_per_s: float = Field(
        default=100.0,
        gt=0,
        description="calls a second, per channel and process, while what waited for a channel "
        "that is back is worked off",
    )
    circuit_failures: int = Field(
        default=5,
        ge=1,
        description="a channel counts as down after so many calls without a verified answer",
    )
    circuit_probe_s: float = Field(
        default=1.0,
        gt=0,
        description="between two calls, over all processes, to a channel that counts as down",
    )
    recheck_ages_s: tuple[float, ...] = Field(
        default=(60, 600, 3600, 6 * 3600, 24 * 3600),
        description="how long after it failed for a number that the channel never received, or "
        "by a cancellation, an operation is asked about again",
    )
    disbelieved_days: float = Field(
        default=7.0, gt=0, description="how long a notification that is not believed is kept"
    )
    disbelieved_rows: int = Field(
        default=10_000, ge=1, description="how many of them are kept at most"
    )
    operate_poll_s: float = Field(
        default=0.5, gt=0, description="how often due operations are looked for when nothing wakes"
    )

    sms: SmsSettings | None = Field(
        default=None,
        description="the SMS gateway, as JSON: url and secret; without it messages "
        "are written to `sms_file`",
    )
    sms_file: str = Field(
        default="",
        description="a file of text messages, one JSON object a line; without it and "
        "without an SMS gateway they are written to the log",
    )
    sms_delays_s: tuple[float, ...] = Field(
        default=Patience.delays_s, min_length=1, description="before each try of a message again"
    )
    sms_window_s: float = Field(
        default=Patience.window_s, description="a message that is not sent after this has failed"
    )
    operations_phone: SecretStr | None = Field(
        default=None,
        description="where messages to the platform's operators go: digits, with or "
        "without +; without it they fail as `no_phone`",
    )

    @field_validator("operations_phone")
    @classmethod
    def _is_a_phone(cls, phone: SecretStr | None) -> SecretStr | None:
        if phone is None or not phone.get_secret_value():
            return None
        if not re.fullmatch(r"\+?[0-9]{7,15}", phone.get_secret_value()):
            raise ValueError("give a phone number as digits, such as 138…, or with + in front")
        return phone

    def policy(self) -> Policy:
        """The retry policy these settings spell."""
        return Policy(
            query_delays_s=self.query_delays_s,
            absent_grace_s=self.absent_grace_s,
            throttle_delays_s=self.throttle_delays_s,
            window_s=self.operation_window_s,
        )

    def patience(self) -> Patience:
        """How text messages are tried again, as these settings spell it."""
        return Patience(delays_s=self.sms_delays_s, window_s=self.sms_window_s)
