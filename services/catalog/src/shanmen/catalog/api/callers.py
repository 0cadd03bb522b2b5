"""What every route of catalog is called with."""

from typing import Annotated

from fastapi import Depends, Path, Request

from shanmen.catalog.ports import CatalogContext
from shanmen.catalog.schemas import ID_SHAPE


async def context(request: Request) -> CatalogContext:
    """The service's ports."""
    found: CatalogContext = request.app.state.context
    return found


Ctx = Annotated[CatalogContext, Depends(context)]
PathId = Annotated[str, Path(pattern=ID_SHAPE)]
