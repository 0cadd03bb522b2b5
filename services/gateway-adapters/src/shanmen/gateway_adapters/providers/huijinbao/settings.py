"""The Huijinbao channel's settings: where, as whom, with which keys and wealth products."""

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from pydantic import AnyHttpUrl, BaseModel, ConfigDict, Field, SecretStr, model_validator

from shanmen.gateway_adapters.providers import rsa2

Seconds = Annotated[float, Field(gt=0, le=60)]
Code = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


class HuijinbaoSettings(BaseModel):
    """How this platform speaks to Huijinbao.

    Keys are read when the settings are, so a wrong one stops the start.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    base_url: AnyHttpUrl
    """Where Huijinbao is; calls go to `/hjb/v2/<method>` below it."""
    merchant_id: Code
    """The platform as a merchant (商户号)."""
    key_id: Code
    """Which of the merchant's keys `private_key` is; another one is told by another id."""
    private_key: SecretStr
    channel_public_keys: Mapping[Code, str] = Field(min_length=1, repr=False)
    """Huijinbao's own keys by their ids: the old and the new one while they are changed."""

    platform_cst_no: Code
    """The platform's own account: debits go to it, and payouts, refunds and wealth draw on it."""
    notify_url: AnyHttpUrl | None = None

    wealth_product_code: Code | None = None
    """Huijinbao's wealth product (理财产品) that money is put into."""
    wealth_product_codes: Mapping[str, Code] = {}
    """The same by the id of a combined product, for those whose money goes into another one."""
    redeem_mode: Literal["FAST", "NORMAL"] = "FAST"
    """How fast a redemption arrives: the same day (T+0), or the next (T+1)."""

    connect_timeout_s: Seconds = 3
    read_timeout_s: Seconds = 15
    bill_timeout_s: Seconds = 60
    """How long a bill's file may take to come."""
    connections: int = Field(default=32, ge=1, le=512)

    @model_validator(mode="after")
    def _keys_are_usable(self) -> Self:
        rsa2.load_private_key(self.private_key.get_secret_value())
        self.trusted_keys()
        return self

    def trusted_keys(self) -> dict[str, RSAPublicKey]:
        """Whose signatures are believed, by key id."""
        return {key_id: rsa2.load_public_key(k) for key_id, k in self.channel_public_keys.items()}

    def product_code(self, product_id: str) -> str | None:
        """The wealth product that a combined product's money goes into, if one is set up."""
        return self.wealth_product_codes.get(product_id, self.wealth_product_code)
