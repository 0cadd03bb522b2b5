"""Moments as Alipay writes them: by China's clock, to the second, without a zone.

Source: Alipay OpenAPI, the common parameter `timestamp` and the times in answers and bills.
"""

import re
from datetime import datetime, timedelta, timezone
from typing import Final

_CHINA_TIME: Final = timezone(timedelta(hours=8), "Asia/Shanghai")
"""The gateway's clock. China keeps no summer time, so no zone data is needed."""

_WRITTEN = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", re.ASCII)


def written(moment: datetime) -> str:
    """A moment, as Alipay writes it."""
    return moment.astimezone(_CHINA_TIME).strftime("%Y-%m-%d %H:%M:%S")


def read(text: str) -> datetime:
    """What moment was written, aware, in China's time. Raises ValueError."""
    if not _WRITTEN.fullmatch(text):
        raise ValueError("not a date and time")
    return datetime.fromisoformat(text).replace(tzinfo=_CHINA_TIME)
