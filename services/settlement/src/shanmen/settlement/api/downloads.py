"""Answers as files: which form a caller accepts, and how the files are sent."""

import asyncio
from collections.abc import AsyncIterator
from enum import StrEnum
from typing import Annotated, Any, Final

from fastapi import Depends, Request
from starlette.responses import Response, StreamingResponse

from shanmen.settlement.views import delimited, workbook
from shanmen.settlement.views.sheets import Book


class Form(StrEnum):
    """In which form an answer is given, by its media type."""

    JSON = "application/json"
    CSV = delimited.MEDIA_TYPE
    XLSX = workbook.MEDIA_TYPE


def form_of(accept: str, forms: frozenset[Form]) -> Form:
    """The first of these forms that an Accept header names, JSON if it names none."""
    for part in accept.lower().split(","):
        media_type = part.partition(";")[0].strip()
        if media_type in forms:
            return Form(media_type)
    return Form.JSON


async def _table_form(request: Request) -> Form:
    return form_of(request.headers.get("accept", ""), frozenset({Form.JSON, Form.CSV}))


async def _file_form(request: Request) -> Form:
    return form_of(request.headers.get("accept", ""), frozenset(Form))


TableForm = Annotated[Form, Depends(_table_form)]
"""JSON, or CSV if the caller accepts `text/csv`."""

FileForm = Annotated[Form, Depends(_file_form)]
"""JSON, or CSV or XLSX if the caller accepts that."""

AS_FILE: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "content": {
            Form.CSV.value: {"schema": {"type": "string"}},
            Form.XLSX.value: {"schema": {"type": "string", "format": "binary"}},
        },
        "description": "JSON, or with `Accept: text/csv` or Excel's media type a file for people: "
        "amounts in yuan, Beijing time.",
    }
}

AS_CSV: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "content": {Form.CSV.value: {"schema": {"type": "string"}}},
        "description": "JSON, or with `Accept: text/csv` all of it as CSV (UTF-8 with a mark, "
        "amounts in yuan, Beijing time), streamed.",
    }
}


async def send_book(name: str, book: Book, form: Form) -> Response:
    """A report as a file of the wanted form."""
    if form is Form.XLSX:
        # Seconds of work for a long report: others are answered meanwhile.
        content = await asyncio.to_thread(workbook.workbook_of, book)
        return Response(content, media_type=form, headers=as_file(name, "xlsx"))
    text = await asyncio.to_thread(lambda: "".join(delimited.book_text(book)))
    return Response(text, media_type=f"{Form.CSV}; charset=utf-8", headers=as_file(name, "csv"))


def stream_csv(name: str, text: AsyncIterator[str]) -> Response:
    """CSV of any length, sent as it is read."""
    return StreamingResponse(
        text, media_type=f"{Form.CSV}; charset=utf-8", headers=as_file(name, "csv")
    )


def as_file(name: str, suffix: str) -> dict[str, str]:
    """Headers under which a browser keeps the answer as a file; `name` is plain ASCII."""
    plain = "".join(letter if letter.isalnum() else "-" for letter in name if letter.isascii())
    return {"Content-Disposition": f'attachment; filename="{plain}.{suffix}"'}
