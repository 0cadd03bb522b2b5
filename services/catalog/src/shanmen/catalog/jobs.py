"""What catalog does by itself, now and again."""

from shanmen.catalog.usecases.reservations import ask_about_unconfirmed
from shanmen.common.housekeeping import housekeeping
from shanmen.common.service import every

JOBS = (every(15.0, ask_about_unconfirmed, name="ask about unconfirmed"), housekeeping())
