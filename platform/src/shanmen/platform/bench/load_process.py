"""The load as one process of its own, so that its CPU time can be told from the services'.

`python -m shanmen.platform.bench.load_process` reads a job from standard input, where no other
user can see its tokens, carries it out, and writes what it measured to standard output.
"""

import asyncio
import json
import resource
import signal
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from pydantic import TypeAdapter

from shanmen.platform.bench.jobs import Job, Lifecycles, Measured, Placements, Purchases, Scans

JOBS: Final[Mapping[str, type[Any]]] = {
    job.__name__: job for job in (Placements, Purchases, Scans, Lifecycles)
}


class LoadFailed(Exception):
    """The load process ended without a result."""


@dataclass(frozen=True)
class LoadReport:
    """What a job measured, and the CPU seconds that its process spent on it."""

    measured: Measured
    cpu_s: float


async def carry_out_apart(job: Job, *, within_s: float) -> LoadReport:
    """Carry a job out in a process of its own. Raises LoadFailed.

    `within_s` is a last resort; a job keeps its bounds by itself.
    """
    order = json.dumps({"job": type(job).__name__, "plan": asdict(job)})  # type: ignore[call-overload] # jobs are dataclasses
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", __name__),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is for the bench, which ends this
    )
    try:
        async with asyncio.timeout(within_s):
            told, complaint = await process.communicate(order.encode())
    except TimeoutError:
        raise LoadFailed(f"The load did not end within {within_s:.0f} s.") from None
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
            await process.wait()
    if process.returncode != 0:
        raise LoadFailed(f"The load failed:\n{complaint.decode(errors='replace')[-2000:]}")
    return TypeAdapter(LoadReport).validate_json(told)


def main() -> None:
    """Carry out the job on standard input."""
    order = json.load(sys.stdin)
    job: Job = TypeAdapter(JOBS[order["job"]]).validate_python(order["plan"])
    before_s = _cpu_s()
    with asyncio.Runner(loop_factory=_fast_loop) as runner:
        measured = runner.run(job.carry_out())
    report = LoadReport(measured, _cpu_s() - before_s)
    json.dump(asdict(report), sys.stdout)


def _cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _fast_loop() -> asyncio.AbstractEventLoop:
    import uvloop  # noqa: PLC0415 - whoever starts the load does not need it

    return uvloop.new_event_loop()


if __name__ == "__main__":
    main()
