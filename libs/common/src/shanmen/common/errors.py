"""Every way in which we say no.

ShanmenError
├── Refusal            a request that will not be carried out; becomes problem details
│   ├── Unauthenticated   401
│   ├── Forbidden         403
│   ├── NotFound          404  unknown and foreign ids alike
│   ├── Conflict          409  the state of things does not allow it
│   ├── Invalid           422  a field's value; names the field
│   └── Unavailable       503  try again later; carries Retry-After
├── NotYet             an event that came before what it depends on; retried later
└── Malformed          an event that no retry can mend; goes to the dead letters at once
"""

from typing import Any


class ShanmenError(Exception):
    """Root of this project's own errors."""


class Refusal(ShanmenError):
    """A request refused with nothing changed.

    `code` is stable and meant for programs, `detail` is a sentence for a person, `members` become
    extension members of the problem details (RFC 9457 section 3.2).
    """

    status: int = 400
    code: str = "bad_request"

    def __init__(self, detail: str, *, code: str | None = None, **members: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.code = code or type(self).code
        self.members = members


class Unauthenticated(Refusal):
    """No token, or none that we know."""

    status = 401
    code = "unauthenticated"


class Forbidden(Refusal):
    """A known principal without the scope that the call needs."""

    status = 403
    code = "forbidden"


class NotFound(Refusal):
    """There is no such thing, or it is another's: the caller cannot tell which."""

    status = 404
    code = "not_found"

    def __init__(self, what: str, key: str) -> None:
        super().__init__(f"There is no {what} {key!r} that you may see.")


class Conflict(Refusal):
    """The present state does not allow it."""

    status = 409
    code = "conflict"


class Invalid(Refusal):
    """A value that is well formed and still not acceptable."""

    status = 422
    code = "invalid"

    def __init__(
        self, detail: str, *, field: str | None = None, code: str | None = None, **members: Any
    ) -> None:
        errors = [{"field": field, "detail": detail}] if field else []
        super().__init__(detail, code=code, **({"errors": errors} if errors else {}), **members)


class Unavailable(Refusal):
    """We cannot answer now; nothing was changed."""

    status = 503
    code = "unavailable"

    def __init__(self, detail: str, *, retry_after_s: int = 1, code: str | None = None) -> None:
        super().__init__(detail, code=code)
        self.retry_after_s = retry_after_s


class NotYet(ShanmenError):
    """An event arrived before the fact it builds on; deliver it again later."""


class Malformed(ShanmenError):
    """A message that is not an event of ours, and will not become one by waiting."""
