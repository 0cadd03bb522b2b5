"""What settlement refuses."""

from shanmen.common.errors import Forbidden, Malformed


class NotForThisCaller(Forbidden):
    """This kind of principal has no such view of the money."""

    code = "not_for_this_caller"


class Contradiction(Malformed):
    """An event that contradicts what is recorded about money.

    No retry can mend it, and it must change nothing: it goes to the dead letters, for a person.
    """
