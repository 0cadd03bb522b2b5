"""What the channel says that invested money has earned so far."""

import logging

from shanmen.common.errors import Unavailable
from shanmen.settlement.ports import SettlementContext
from shanmen.settlement.queries import positions, wealth

log = logging.getLogger(__name__)


async def refresh_accruals(ctx: SettlementContext) -> None:
    """Ask for the position of every product with something invested; what nobody can tell at the
    moment stays as it was told last."""
    async with ctx.db.transaction() as tx:
        product_ids = await wealth.invested_products(tx)
    for product_id in product_ids:
        try:
            position = await ctx.positions.position(product_id)
        except Unavailable:
            log.warning("no answer about a wealth position", extra={"product_id": product_id})
            continue
        async with ctx.db.transaction() as tx:
            await positions.keep_accrual(
                tx,
                product_id,
                principal_fen=position.principal_fen,
                accrued_fen=position.accrued_fen,
                as_of=position.as_of,
            )
