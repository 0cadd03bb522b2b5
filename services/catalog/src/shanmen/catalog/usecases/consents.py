"""Spots decide whether they are part of a combined product (联票)."""

from typing import Final

from shanmen.catalog.domain import ConsentStatus
from shanmen.catalog.errors import NotYours, StatusForbids, TermsChanged
from shanmen.catalog.ports import CatalogContext
from shanmen.catalog.queries import products as queries
from shanmen.catalog.schemas import ConsentAnswer, ProductView
from shanmen.catalog.usecases.products import shown_product, visible_product
from shanmen.common.auth import Principal, PrincipalKind
from shanmen.common.db import Tx
from shanmen.contracts.catalog import ProductKind

_MEANS: Final = {"accept": ConsentStatus.ACCEPTED, "withdraw": ConsentStatus.WITHDRAWN}


async def answer_consent(
    tx: Tx, ctx: CatalogContext, principal: Principal, product_id: str, body: ConsentAnswer
) -> ProductView:
    """Note a spot's answer to the present terms; one that it has given already changes nothing.

    Nobody can accept what they have not read: raises TermsChanged unless the version named has
    the present terms. A withdrawal ends future sales; orders that were placed keep their offer.
    """
    if principal.kind is not PrincipalKind.SPOT or principal.party_id is None:
        raise NotYours("Each spot answers for itself.")
    await queries.lock_product(tx, product_id)
    product, _ = await visible_product(tx, principal, product_id)
    if product.kind != ProductKind.COMBINED:
        raise StatusForbids("A single ticket (单票) needs no consent.")
    if body.version is not None and not (product.terms_version <= body.version <= product.version):
        raise TermsChanged(
            f"Version {body.version} does not have the present terms; read the product again.",
            version=product.version,
        )
    await queries.answer_consent(
        tx,
        product_id,
        principal.party_id,
        _MEANS[body.answer],
        by=principal.credential_id,
        now=ctx.clock.now(),
    )
    return await shown_product(tx, principal, product_id)
