"""An operator's token by command: `python -m shanmen.catalog.bootstrap LABEL [PERSON]`."""

import asyncio
import sys

from shanmen.catalog.queries import parties as queries
from shanmen.catalog.settings import CatalogSettings
from shanmen.catalog.usecases.parties import issue_token
from shanmen.common.db import Database


async def mint_operator_token(database_url: str, label: str, person: str | None = None) -> str:
    """Mint an operator's token straight in the database; returns its plain text.

    For the first operator, and for a `person` (by default the label) who has lost all tokens.
    """
    holder = person or label
    database = Database(database_url, pool_size=1)
    try:
        async with database.transaction() as tx:
            await queries.add_person(tx, holder)
            view = await issue_token(tx, kind="operator", label=label, person=holder)
    finally:
        await database.close()
    return str(view.token)


if __name__ == "__main__":
    label, person = [*sys.argv[1:3], None, None][:2]
    url = CatalogSettings().database_url.get_secret_value()
    sys.stdout.write(
        asyncio.run(mint_operator_token(url, label or "first operator", person)) + "\n"
    )
