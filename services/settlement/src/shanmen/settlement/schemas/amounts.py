"""How an amount of money is written."""

from typing import Annotated

from pydantic import Field

Fen = Annotated[int, Field(description="In fen, 1/100 of a CNY yuan.")]
