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
