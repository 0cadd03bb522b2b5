"""What verification does by itself, now and again."""

from typing import Final

from shanmen.common.housekeeping import housekeeping
from shanmen.common.service import every
from shanmen.verification.usecases import expire_passes

SWEEP_EVERY_S: Final = 5.0

JOBS: Final = (every(SWEEP_EVERY_S, expire_passes, name="expire passes"), housekeeping())
