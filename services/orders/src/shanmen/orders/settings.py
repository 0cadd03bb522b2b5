"""Orders' settings."""

from pydantic import Field, SecretStr

from shanmen.common.settings import ClientSettings


class OrdersSettings(ClientSettings):
    """What orders is told from outside."""

    ticket_key_id: str = Field(
        pattern=r"^[A-Za-z0-9_-]{1,32}$", description="names the key that signs new tickets"
    )
    ticket_signing_key: SecretStr = Field(
        description="base64 of the 32-byte Ed25519 seed that signs new tickets"
    )
    deadline_sweep_s: float = Field(
        default=5.0, gt=0, description="how often unpaid orders past their deadline are closed"
    )
