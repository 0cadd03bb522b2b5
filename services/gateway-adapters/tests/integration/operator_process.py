"""An operator that is started again whenever it is killed, and told by its environment.

Prints the process id of each one as it starts; ends when one of them ends by itself, on SIGTERM.
"""

import asyncio
import json
import os
import signal

from shanmen.common.clock import SystemClock
from shanmen.common.db import Database
from shanmen.common.testing.principals import FakeIntrospector
from shanmen.gateway_adapters.domain.operations import Channel
from shanmen.gateway_adapters.providers.alipay.provider import AlipayProvider
from shanmen.gateway_adapters.providers.alipay.settings import AlipaySettings
from shanmen.gateway_adapters.providers.base import Counterparty
from shanmen.gateway_adapters.testing import KnownAccounts, open_desk
from shanmen.gateway_adapters.usecases.operating import Operator


def supervise() -> None:
    """Fork an operator, and another one when that was killed: quicker than to start Python."""
    while True:
        pid = os.fork()
        if pid == 0:
            asyncio.run(operate())
            os._exit(0)
        print(pid, flush=True)  # noqa: T201 - the test reads it
        _, status = os.waitpid(pid, 0)
        if os.WIFEXITED(status):
            raise SystemExit(os.WEXITSTATUS(status))


async def operate() -> None:
    """Work on what is due until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    settings = AlipaySettings.model_validate_json(os.environ["ALIPAY"])
    provider = AlipayProvider(settings, SystemClock())
    accounts = KnownAccounts({"acc_payer": Counterparty(*json.loads(os.environ["PAYER"]))})
    database = Database(os.environ["DATABASE_URL"])
    desk = open_desk(
        database,
        FakeIntrospector(),
        {Channel.ALIPAY: provider},
        accounts,
        channel_concurrency=4,
        attempt_lease_s=0.6,
        query_delays_s=(0.05,),
        absent_grace_s=0.2,
    )
    await Operator(desk.ctx).run(stop)
    await provider.aclose()
    await database.close()


if __name__ == "__main__":
    supervise()
