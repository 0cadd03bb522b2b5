"""Settlement's settings."""

from typing import Annotated

from pydantic import Field

from shanmen.common.settings import ClientSettings


class SettlementSettings(ClientSettings):
    """What settlement is told from outside."""

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
    four_eyes_above_fen: int = Field(
        default=500_000,
        ge=0,
        description="above this amount, in fen, what a person does about money waits for another "
        "person's approval",
    )
