"""The SMS gateway's settings: where it is, and the secret that requests are signed with."""

from typing import Annotated

from pydantic import AnyHttpUrl, BaseModel, ConfigDict, Field, SecretStr

Seconds = Annotated[float, Field(gt=0, le=15)]


class SmsSettings(BaseModel):
    """How this platform speaks to its SMS gateway."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    url: AnyHttpUrl
    """Where messages are posted, with the path: `https://…/sms/send`."""
    secret: SecretStr = Field(min_length=1)
    connect_timeout_s: Seconds = 3
    read_timeout_s: Seconds = 10
