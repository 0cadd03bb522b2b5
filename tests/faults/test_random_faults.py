"""Faults at random over many orders, on both transports; then every invariant, and both books.

`SOAK_ORDERS` and `SOAK_SEED` make it longer or another one; `make soak` runs thousands.
"""

import logging
import os
from typing import Any, Final

import pytest

from shanmen.platform.checks import check_installation
from shanmen.platform.testing.soak import soak

log = logging.getLogger(__name__)

ORDERS: Final = int(os.environ.get("SOAK_ORDERS", "60"))
SEED: Final = int(os.environ.get("SOAK_SEED", "1"))


@pytest.mark.timeout(120 + ORDERS)
async def test_random_faults_lead_no_money_astray(stack: Any) -> None:
    soaked = await soak(stack.installation, stack.sample, orders=ORDERS, seed=SEED)
    log.info(soaked.text())
    assert soaked.restless == [], soaked.text()
    assert len(soaked.orders) == ORDERS
    report = await check_installation(stack.installation, quiet_within_s=60)
    assert report.ok, f"{report.text()}\n{soaked.text()}"
