"""The gateway's settings."""

from pydantic import Field

from shanmen.common.settings import ClientSettings
from shanmen.gateway_adapters.domain import Policy
from shanmen.gateway_adapters.providers.alipay.settings import AlipaySettings


class GatewaySettings(ClientSettings):
    """What the gateway is told from outside."""

    alipay: AlipaySettings | None = Field(
        default=None, description="the Alipay channel, as JSON; without it Alipay is switched off"
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
        default=Policy.window_s, description="payouts and refunds go to a person after this long"
    )
    attempt_lease_s: float = Field(
        default=30.0,
        description="a call without a recorded answer is unknown after this long: longer than "
        "calls take, as a later answer counts only when it says that the money has moved",
    )
    channel_concurrency: int = Field(
        default=16, ge=1, le=256, description="calls in flight per channel and process"
    )
    operate_poll_s: float = Field(
        default=0.5, gt=0, description="how often due operations are looked for when nothing wakes"
    )

    def policy(self) -> Policy:
        """The retry policy these settings spell."""
        return Policy(
            query_delays_s=self.query_delays_s,
            absent_grace_s=self.absent_grace_s,
            throttle_delays_s=self.throttle_delays_s,
            window_s=self.operation_window_s,
        )
