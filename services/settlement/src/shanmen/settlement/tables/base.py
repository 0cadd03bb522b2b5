"""What all of settlement's tables are declared in."""

from shanmen.common.db import build_metadata
from shanmen.common.migrate import with_common_tables

METADATA = with_common_tables(build_metadata())
