"""What is to be told to a merchant of Alipay."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from shanmen.simulators import postbox
from shanmen.simulators.books import Books

SCHEMA: Final = postbox.schema("app_id", "apps")


@dataclass(frozen=True)
class Notice:
    """What a merchant is to be told, by the method that caused it.

    `number` is the business number (of a refund, its request number) and `parent_number` the
    trade's; `fields` lacks what is added at each sending.
    """

    method: str
    app_id: str
    url: str
    number: str
    parent_number: str
    account_no: str
    fields: Mapping[str, str]


def enqueue(books: Books, notice: Notice) -> None:
    """Queue a notification; it is sent soon after the transaction is committed."""
    postbox.enqueue(books, **vars(notice))
