"""The first operator's token, by command: `python -m shanmen.catalog.bootstrap LABEL`."""

import asyncio
import sys

from shanmen.catalog.settings import CatalogSettings
from shanmen.catalog.usecases.parties import issue_token
from shanmen.common.db import Database


async def mint_operator_token(database_url: str, label: str) -> str:
    """Mint an operator's token straight in the database; returns its plain text."""
    database = Database(database_url, pool_size=1)
    try:
        async with database.transaction() as tx:
            view = await issue_token(tx, kind="operator", label=label)
    finally:
        await database.close()
    return str(view.token)


if __name__ == "__main__":
    label = sys.argv[1] if len(sys.argv) > 1 else "first operator"
    url = CatalogSettings().database_url.get_secret_value()
    sys.stdout.write(asyncio.run(mint_operator_token(url, label)) + "\n")
