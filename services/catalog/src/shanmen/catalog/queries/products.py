"""SQL of products, their spots, and the spots' consents."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, and_, delete, insert, select, update

from shanmen.catalog.domain import (
    CONSENT,
    PRODUCT,
    TERMS_MAY_CHANGE,
    ConsentStatus,
    ProductStatus,
)
from shanmen.catalog.tables import CONSENTS, PARTIES, PRODUCT_SPOTS, PRODUCTS
from shanmen.common.db import Tx, among

Rows = Sequence[Row[Any]]

_OF_THE_PRESENT_TERMS = and_(
    CONSENTS.c.product_id == PRODUCTS.c.product_id, CONSENTS.c.version == PRODUCTS.c.terms_version
)


async def insert_product(
    tx: Tx, values: Mapping[str, Any], spots: Sequence[Mapping[str, Any]]
) -> None:
    """Add a product with its spots."""
    await tx.execute(insert(PRODUCTS).values(values))
    await tx.execute(insert(PRODUCT_SPOTS), list(spots))


async def products(
    tx: Tx,
    *,
    filters: Mapping[str, str | None],
    spot_id: str | None,
    consent: ConsentStatus | None,
    after: str | None,
    limit: int,
) -> Rows:
    """Products in order of id, one more than `limit`.

    `filters` are columns and their values, `spot_id` one of the product's spots; `consent` is how
    far that spot's consent is, or anyone's if no spot is named.
    """
    wanted = select(PRODUCTS).order_by(PRODUCTS.c.product_id).limit(limit + 1)
    for name, value in filters.items():
        if value is not None:
            wanted = wanted.where(PRODUCTS.c[name] == value)
    if spot_id is not None:
        wanted = wanted.where(PRODUCTS.c.product_id.in_(_products_of(spot_id)))
    if consent is not None:
        wanted = wanted.where(_consents_of(spot_id, consent).exists())
    if after is not None:
        wanted = wanted.where(PRODUCTS.c.product_id > after)
    return (await tx.execute(wanted)).all()


async def products_by_id(tx: Tx, product_ids: Sequence[str]) -> dict[str, Row[Any]]:
    """Products by id."""
    rows = await tx.execute(select(PRODUCTS).where(among(PRODUCTS.c.product_id, product_ids)))
    return {row.product_id: row for row in rows}


async def lock_product(tx: Tx, product_id: str) -> None:
    """Let nobody else change a product's status, its terms or a consent to them meanwhile."""
    await tx.execute(
        select(PRODUCTS.c.product_id)
        .where(PRODUCTS.c.product_id == product_id)
        .with_for_update(key_share=True)
    )


async def spots_of_products(tx: Tx, product_ids: Sequence[str]) -> dict[str, list[Row[Any]]]:
    """Each product's spots in order, with their terms and, of a combined one, their consents.

    `terms_version` is the product's as these rows were read.
    """
    rows = await tx.execute(
        select(
            PRODUCT_SPOTS,
            PRODUCTS.c.terms_version,
            PARTIES.c.name.label("spot_name"),
            PARTIES.c.time_zone,
            PARTIES.c.fee_bps,
            PARTIES.c.offline_grace_s,
            CONSENTS.c.status.label("consent"),
            CONSENTS.c.answered_at,
            CONSENTS.c.answered_by,
        )
        .join(PRODUCTS, PRODUCTS.c.product_id == PRODUCT_SPOTS.c.product_id)
        .join(PARTIES, PARTIES.c.party_id == PRODUCT_SPOTS.c.spot_id)
        .outerjoin(
            CONSENTS, and_(_OF_THE_PRESENT_TERMS, CONSENTS.c.spot_id == PRODUCT_SPOTS.c.spot_id)
        )
        .where(among(PRODUCT_SPOTS.c.product_id, product_ids))
        .order_by(PRODUCT_SPOTS.c.product_id, PRODUCT_SPOTS.c.position)
    )
    spots: dict[str, list[Row[Any]]] = {}
    for row in rows:
        spots.setdefault(row.product_id, []).append(row)
    return spots


async def change_product_status(tx: Tx, product_id: str, target: ProductStatus) -> bool:
    """Guarded transition of a product; False when its status does not allow it."""
    changed = await tx.execute(
        update(PRODUCTS)
        .where(
            PRODUCTS.c.product_id == product_id,
            among(PRODUCTS.c.status, PRODUCT.sources(target)),
        )
        .values(status=target, version=PRODUCTS.c.version + 1)
    )
    return changed.rowcount == 1


async def replace_terms(
    tx: Tx, product_id: str, values: Mapping[str, Any], spots: Sequence[Mapping[str, Any]]
) -> int | None:
    """Give a product other prices and spots, as of a new version of it; None while it is on sale.

    Returns that version.
    """
    version = await tx.scalar(
        update(PRODUCTS)
        .where(
            PRODUCTS.c.product_id == product_id,
            among(PRODUCTS.c.status, TERMS_MAY_CHANGE),
        )
        .values(
            **values,
            version=PRODUCTS.c.version + 1,
            terms_version=PRODUCTS.c.version + 1,
        )
        .returning(PRODUCTS.c.terms_version)
    )
    if version is not None:
        await tx.execute(delete(PRODUCT_SPOTS).where(PRODUCT_SPOTS.c.product_id == product_id))
        await tx.execute(insert(PRODUCT_SPOTS), list(spots))
    return version


async def ask_consents(
    tx: Tx, product_id: str, version: int, settle_fen: Mapping[str, int]
) -> None:
    """Note that spots are to answer to the terms of a version: each with its own price."""
    rows = [
        {
            "product_id": product_id,
            "spot_id": spot_id,
            "version": version,
            "settle_fen": price_fen,
            "status": CONSENT.initial,
        }
        for spot_id, price_fen in settle_fen.items()
    ]
    await tx.execute(insert(CONSENTS), rows)


async def answer_consent(
    tx: Tx, product_id: str, spot_id: str, target: ConsentStatus, *, by: str, now: datetime
) -> None:
    """Guarded transition of a spot's consent to the present terms of a locked product."""
    present = (
        select(PRODUCTS.c.terms_version)
        .where(PRODUCTS.c.product_id == product_id)
        .scalar_subquery()
    )
    await tx.execute(
        update(CONSENTS)
        .where(
            CONSENTS.c.product_id == product_id,
            CONSENTS.c.spot_id == spot_id,
            CONSENTS.c.version == present,
            among(CONSENTS.c.status, CONSENT.sources(target)),
        )
        .values(status=target, answered_at=now, answered_by=by)
    )


def _products_of(spot_id: str) -> Select[Any]:
    return select(PRODUCT_SPOTS.c.product_id).where(PRODUCT_SPOTS.c.spot_id == spot_id)


def _consents_of(spot_id: str | None, status: ConsentStatus) -> Select[Any]:
    wanted = select(CONSENTS.c.spot_id).where(_OF_THE_PRESENT_TERMS, CONSENTS.c.status == status)
    return wanted if spot_id is None else wanted.where(CONSENTS.c.spot_id == spot_id)
