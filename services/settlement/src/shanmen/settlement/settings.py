"""Settlement's settings."""

from datetime import time
from typing import Annotated

from pydantic import Field

from shanmen.common.settings import ClientSettings


class SettlementSettings(ClientSettings):
    """What settlement is told from outside."""

    gateway_url: str = Field(
        default="http://127.0.0.1:8005", description="base URL of the gateway's API"
    )
    payout_minimum_fen: dict[str, Annotated[int, Field(ge=1)]] = Field(
        default={"alipay": 10, "huijinbao": 1},
        description="the least that a channel pays out at once, by channel; less waits for the "
        "spot's next payout",
    )
    pay_waiting_s: float = Field(
        default=60,
        gt=0,
        description="how often visits that wait for the least amount of their channel are looked "
        "at, in seconds",
    )
    liquidate_every_s: float = Field(
        default=60,
        gt=0,
        description="how often products are looked for that have ended with money invested, in "
        "seconds",
    )
    accruals_every_s: float = Field(
        default=600,
        gt=0,
        description="how often the channel is asked what invested money has earned, in seconds",
    )
    reconcile_at: time = Field(
        default=time(10, 30),
        description="from when on the day before is reconciled with the channels' bills, in China",
    )
    reconcile_edge_s: float = Field(
        default=7200,
        ge=0,
        le=43_200,
        description="how close to midnight a movement may be in the bill of the other day, in "
        "seconds",
    )
    four_eyes_above_fen: int = Field(
        default=500_000,
        ge=0,
        description="above this amount, in fen, what a person does about money waits for another "
        "person's approval",
    )
