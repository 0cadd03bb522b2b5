"""A keeper that is started again whenever it dies, as by a supervisor, only quicker: by fork."""

import asyncio
import os
import signal
import sys
from typing import NoReturn

from shanmen.common.broker.protocol import Ladder
from shanmen.common.broker.rabbitmq import RabbitTransport
from shanmen.common.clock import SystemClock
from shanmen.common.service import open_service, run_background
from shanmen.common.testing.toys.keeper import KEEPER, KeeperSettings


async def _work(settings: KeeperSettings) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    ladder = Ladder(settings.retry_delays_s)
    transport = RabbitTransport(settings.amqp_url.get_secret_value(), ladder=ladder)
    async with open_service(KEEPER, settings, transport, SystemClock()) as running:
        await run_background(running, stop, worker=True)


def _supervise(settings: KeeperSettings) -> NoReturn:
    child = 0

    def pass_on(number: int, _: object) -> None:
        os.kill(child, number)

    deaths = 0
    while True:
        # Until the child has a handler of its own, a request to end it must not find ours.
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        child = os.fork()
        if child == 0:
            asyncio.run(_work(settings))
            os._exit(0)
        signal.signal(signal.SIGTERM, pass_on)
        _, status = os.waitpid(child, 0)
        if os.waitstatus_to_exitcode(status) != -signal.SIGKILL:
            sys.exit(f"deaths: {deaths}")
        deaths += 1


if __name__ == "__main__":
    _supervise(KeeperSettings())
