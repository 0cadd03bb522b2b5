"""One installation on this machine: its addresses, databases, secrets and settings.

Everything a process needs is in `values(service)`; the single-process mode builds settings from
it directly, separate processes get the same as environment variables.
"""

import base64
import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from shanmen.common.auth import hash_token
from shanmen.common.clock import Clock, open_clock
from shanmen.common.migrate import migrate
from shanmen.common.service import Service
from shanmen.common.settings import ServiceSettings
from shanmen.platform.localclock import shift_file
from shanmen.platform.overrides import overridden, overrides_from_environment
from shanmen.platform.servers.ports import LOOPBACK, port_from_environment
from shanmen.platform.servers.postgres_access import PostgresAccess
from shanmen.platform.servers.state import StateDir
from shanmen.platform.services import SERVICES

EVENTS: Final = "events"
"""The queue database of the in-process transport, beside those of the services."""
PORT_VARIABLES: Final[Mapping[str, str]] = {
    "edge": "SHANMEN_PORT",
    "catalog": "SHANMEN_CATALOG_PORT",
    "orders": "SHANMEN_ORDERS_PORT",
    "settlement": "SHANMEN_SETTLEMENT_PORT",
    "verification": "SHANMEN_VERIFICATION_PORT",
    "gateway-adapters": "SHANMEN_GATEWAY_PORT",
    "alipay": "SHANMEN_ALIPAY_PORT",
    "huijinbao": "SHANMEN_HUIJINBAO_PORT",
    "sms": "SHANMEN_SMS_PORT",
}

ALIPAY_APP_ID: Final = "2021000000000001"
ALIPAY_PLATFORM_ACCOUNT: Final = "2088000000000001"
HUIJINBAO_MERCHANT: Final = "M100000001"
HUIJINBAO_PLATFORM_ACCOUNT: Final = "6200000000000001"
HUIJINBAO_KEY_ID: Final = "k1"
HUIJINBAO_WEALTH_PRODUCT: Final = "HJB-TTL-01"
"""The wealth product (理财产品) that this installation puts combined tickets' money into."""
OPERATIONS_PHONE: Final = "13800000000"
TICKET_KEY_ID: Final = "k1"

LOCAL_POLICY: Final[Mapping[str, Any]] = {
    # A simulator on the same machine answers in milliseconds: what is lost is found soon.
    "query_delays_s": (1, 3, 10, 30, 120, 600, 3600),
    "absent_grace_s": 3.0,
    "attempt_lease_s": 9.0,
    "operate_poll_s": 0.2,
}
LOCAL_SETTLEMENT: Final[Mapping[str, Any]] = {
    # Whoever moves the clock past a product's end wants to see it liquidated at once.
    "liquidate_every_s": 1.0,
    "accruals_every_s": 5.0,
}


@dataclass(frozen=True)
class ChannelKeys:
    """The keys that the channels' answers are verified with: Alipay's, Huijinbao's by key id."""

    alipay: str
    huijinbao: Mapping[str, str]


@dataclass(frozen=True)
class Installation:
    """Where everything of one installation is.

    `mode` (`single`, `up` or `demo`) keeps the modes of one checkout apart: each has databases and
    a simulated world of its own. `amqp_url` is empty in the single-process mode.
    """

    mode: str
    state: StateDir
    postgres: PostgresAccess
    ports: Mapping[str, int]
    amqp_url: str = ""

    def url(self, name: str) -> str:
        """The base URL of the edge, a service or a simulator."""
        return f"http://{LOOPBACK}:{self.ports[name]}"

    def database_name(self, owner: str) -> str:
        """The database, and the role, of a service or of the in-process transport."""
        return f"shanmen_{self.mode}_{owner.replace('-', '_')}"

    def database_url(self, owner: str) -> str:
        """The owner's own database, as its own role."""
        name = self.database_name(owner)
        return self.postgres.url(name, role=name, password=self.state.secret(f"db-{owner}"))

    async def prepare_databases(self) -> None:
        """Make each owner's role and database, closed to every other role.

        An installation of a throwaway state begins with nothing.
        """
        for owner in (*(service.name for service in SERVICES), EVENTS):
            name = self.database_name(owner)
            if self.state.throwaway:
                await self.postgres.drop_database(name)
            await self.postgres.ensure_role(name, self.state.secret(f"db-{owner}"))
            await self.postgres.ensure_database(name, owner=name)

    def migrate(self) -> None:
        """Bring every service's database to its newest revision."""
        for service in SERVICES:
            migrate(service.migrations, service.metadata, self.database_url(service.name))

    def service_token(self, service: str) -> str:
        """A service's own token at catalog."""
        return f"shs_{self.state.secret(f'token-{service}')}"

    def values(self, service: str, *, keys: ChannelKeys) -> dict[str, Any]:
        """The settings of one service, by field name; SHANMEN_OVERRIDES has the last word.

        Raises BadOverrides.
        """
        values = self._values(service, keys)
        return overridden(values, overrides_from_environment().get(service, {}))

    def _values(self, service: str, keys: ChannelKeys) -> dict[str, Any]:
        values: dict[str, Any] = {
            "database_url": self.database_url(service),
            "amqp_url": self.amqp_url,
            "host": LOOPBACK,
            "port": self.ports[service],
            "log_level": os.environ.get("LOG_LEVEL", "WARNING"),
            "clock_shift_file": str(shift_file(self.state)),
        }
        if service == "catalog":
            names = [other.name for other in SERVICES if other.name != "catalog"]
            hashes = {name: hash_token(self.service_token(name)) for name in names}
            return {**values, "service_token_hashes": hashes}
        values["catalog_url"] = self.url("catalog")
        values["service_token"] = self.service_token(service)
        own: dict[str, Callable[[], dict[str, Any]]] = {
            "orders": self._orders_values,
            "settlement": self._settlement_values,
            "verification": self._verification_values,
            "gateway-adapters": lambda: self._gateway_values(keys),
        }
        return {**values, **(own[service]() if service in own else {})}

    def settings(self, service: Service[Any, Any], *, keys: ChannelKeys) -> ServiceSettings:
        """A service's settings, for running it in this process."""
        values = self.values(service.name, keys=keys)
        settings: ServiceSettings = service.settings(**values)
        return settings

    def environment(self, service: str, *, keys: ChannelKeys) -> dict[str, str]:
        """A service's settings as environment variables, for a process of its own."""
        values = self.values(service, keys=keys)
        return {
            name.upper(): value if isinstance(value, str) else json.dumps(value)
            for name, value in values.items()
        }

    def clock(self) -> Clock:
        """What the services take for the present: `shanmen clock` moves it."""
        return open_clock(str(shift_file(self.state)))

    def alipay_app_public_key(self) -> str:
        """The public half of the key that the platform signs its Alipay requests with."""
        return self._public_key("alipay-app-key")

    def huijinbao_merchant_public_key(self) -> str:
        """The public half of the key that the platform signs its Huijinbao requests with."""
        return self._public_key("huijinbao-merchant-key")

    def _public_key(self, name: str) -> str:
        key = serialization.load_pem_private_key(self._private_key(name).encode(), password=None)
        public = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return public.decode()

    def _orders_values(self) -> dict[str, Any]:
        seed = base64.b64encode(self._ticket_seed()).decode()
        return {
            "ticket_key_id": TICKET_KEY_ID,
            "ticket_signing_key": seed,
            # Whoever tries webhooks out listens on this machine.
            "webhook_allow_private": True,
            "webhook_allow_http": True,
            "webhook_allow_high_ports": True,
        }

    def _settlement_values(self) -> dict[str, Any]:
        return {"gateway_url": self.url("gateway-adapters"), **LOCAL_SETTLEMENT}

    def _verification_values(self) -> dict[str, Any]:
        public = Ed25519PrivateKey.from_private_bytes(self._ticket_seed()).public_key()
        encoded = base64.b64encode(public.public_bytes_raw()).decode()
        return {"ticket_public_keys": {TICKET_KEY_ID: encoded}}

    def _gateway_values(self, keys: ChannelKeys) -> dict[str, Any]:
        alipay = {
            "gateway_url": f"{self.url('alipay')}/gateway.do",
            "app_id": ALIPAY_APP_ID,
            "app_private_key": self._private_key("alipay-app-key"),
            "alipay_public_key": keys.alipay,
            "platform_user_id": ALIPAY_PLATFORM_ACCOUNT,
            "notify_url": f"{self.url('edge')}/notify/alipay",
            "connect_timeout_s": 2,
            "read_timeout_s": 5,
        }
        sms = {"url": f"{self.url('sms')}/sms/send", "secret": self.state.secret("sms-gateway")}
        huijinbao = {
            "base_url": self.url("huijinbao"),
            "merchant_id": HUIJINBAO_MERCHANT,
            "key_id": HUIJINBAO_KEY_ID,
            "private_key": self._private_key("huijinbao-merchant-key"),
            "channel_public_keys": dict(keys.huijinbao),
            "platform_cst_no": HUIJINBAO_PLATFORM_ACCOUNT,
            "wealth_product_code": HUIJINBAO_WEALTH_PRODUCT,
            "notify_url": f"{self.url('edge')}/notify/huijinbao",
            "connect_timeout_s": 2,
            "read_timeout_s": 5,
        }
        return {
            "alipay": alipay,
            "huijinbao": huijinbao,
            "sms": sms,
            "operations_phone": OPERATIONS_PHONE,
            **LOCAL_POLICY,
        }

    def _ticket_seed(self) -> bytes:
        return hashlib.sha256(self.state.secret("ticket-signing").encode()).digest()

    def _private_key(self, name: str) -> str:
        """A key of this installation's own, made once."""
        stored = self.state.read_json(name)
        if stored is None:
            key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
            pem = key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            stored = {"private_key": pem.decode()}
            self.state.write_json(name, stored)
        return str(stored["private_key"])


def ports_from_environment() -> dict[str, int]:
    """The port of everything that listens; each can be moved by a variable."""
    return {name: port_from_environment(variable) for name, variable in PORT_VARIABLES.items()}
