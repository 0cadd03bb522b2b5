"""What every process is told from outside: environment variables, nothing from the tree."""

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class ServiceSettings(BaseSettings):
    """Settings that all services share. Variables are the upper-case field names."""

    model_config = SettingsConfigDict(extra="ignore", hide_input_in_errors=True)

    database_url: SecretStr = Field(description="postgresql+asyncpg://… of this service's own DB")
    amqp_url: SecretStr = Field(
        default=SecretStr(""), description="amqp://… of the broker; unused in one process"
    )
    host: str = Field(default="127.0.0.1", description="address that the API listens on")
    port: int = Field(default=8000, description="port that the API listens on")
    log_level: str = "INFO"
    database_pool: int = Field(default=10, ge=2, le=100)
    retry_delays_s: tuple[float, ...] = Field(
        default=(0.2, 1, 5, 15, 60, 300, 900),
        description="the event ladder: seconds before each redelivery",
    )
    relay_poll_s: float = Field(default=0.5, gt=0, description="outbox poll when nothing wakes it")
    clock_shift_file: str = Field(
        default="",
        description="a file with the seconds that this installation's time is ahead of the "
        "machine's clock (demo and tests only); empty for the machine's clock",
    )
    heartbeat_file: str = Field(
        default="", description="a worker touches this file while it is well (health checks)"
    )


class ClientSettings(ServiceSettings):
    """Settings of the services that ask catalog who a token stands for."""

    catalog_url: str = Field(default="http://127.0.0.1:8001", description="base URL of catalog")
    service_token: SecretStr = Field(description="this service's own token at catalog")
