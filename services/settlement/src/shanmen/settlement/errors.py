"""What settlement refuses."""

from shanmen.common.errors import Conflict, Forbidden, Invalid, Malformed


class NotForThisCaller(Forbidden):
    """This kind of principal has no such view of the money."""

    code = "not_for_this_caller"


class OperationInProgress(Conflict):
    """The gateway is at it: what becomes of it is not known yet."""

    code = "operation_in_progress"


class OperationFinished(Conflict):
    """The money has moved: nothing is left to start again."""

    code = "operation_finished"


class OperationReplaced(Conflict):
    """Another operation took its place, or it was settled outside of the platform."""

    code = "operation_replaced"


class NumberStillAlive(Conflict):
    """Money may still move under this number, so it must not go another way as well."""

    code = "number_still_alive"


class MoneyUnexplained(Conflict):
    """Money has moved under a number that was dead: a person must explain that first."""

    code = "money_unexplained"


class ReceiverMissing(Conflict):
    """A refused payout is paid by another, which needs an account to pay to."""

    code = "receiver_missing"


class AmountBelowMinimum(Conflict):
    """The receiver's channel does not pay out so little."""

    code = "amount_below_minimum"


class LeftToLiquidation(Conflict):
    """The product has ended: its liquidation takes out what is left, and no redemption does."""

    code = "left_to_liquidation"


class ProductGoesOn(Conflict):
    """The product was sold for later days since: it is not liquidated yet."""

    code = "product_goes_on"


class NothingHeld(Conflict):
    """No payout or refund waits for this move of invested money."""

    code = "nothing_held"


class Contradiction(Malformed):
    """An event that contradicts what is recorded about money.

    No retry can mend it, and it must change nothing: it goes to the dead letters, for a person.
    """


class ReportTooLong(Invalid):
    """More than one answer holds: ask for a shorter period."""

    code = "report_too_long"


# ── what people do about money ──────────────────────────────────────────────────────────────────


class NoPerson(Forbidden):
    """The token does not say who holds it."""

    code = "no_person"


class SamePerson(Forbidden):
    """Four eyes are those of two persons, whatever tokens they use."""

    code = "same_person"


class NotAnApprover(Forbidden):
    """This person does not have the right to approve this, or has lost it."""

    code = "not_an_approver"


class ItemResolved(Conflict):
    """Nothing is to be done about it any more."""

    code = "item_resolved"


class ActionNotAllowed(Conflict):
    """Not what can be done about an item of this kind; `allowed` lists what can."""

    code = "action_not_allowed"


class DistributorAsksAgain(ActionNotAllowed):
    """Only the distributor can top its own account up, and asks for payment again itself."""

    code = "distributor_asks_again"


class ActionWaiting(Conflict):
    """Another action about the same item waits for approval."""

    code = "action_waiting"


class ActionDecided(Conflict):
    """The action was executed, rejected, withdrawn, or has lapsed."""

    code = "action_decided"


class ActionOutdated(Conflict):
    """What the action was asked for is not as it was then."""

    code = "action_outdated"


class ApprovalDiffers(Conflict):
    """What is approved is not what was asked for."""

    code = "approval_differs"


class StillStuck(Conflict):
    """An item can be resolved only once nothing is stuck behind it."""

    code = "still_stuck"


class ReferenceUsed(Conflict):
    """This movement in the channel account is recorded already."""

    code = "reference_used"


class NotCorrectable(Conflict):
    """Something else relies on this posting: a counter-posting would belie it."""

    code = "not_correctable"


class PostingCorrected(Conflict):
    """A posting is corrected once, and this one's correction is made or waits for approval."""

    code = "posting_corrected"


class ReconciliationRunning(Conflict):
    """Somebody else compares the same day of the same channel at this moment."""

    code = "reconciliation_running"


class NothingToAdjust(Conflict):
    """The ledger's cash is what the channel says already."""

    code = "nothing_to_adjust"


class NothingInSuspense(Conflict):
    """What this posting left in suspense is explained, or it left nothing there."""

    code = "nothing_in_suspense"


class ClearedAlready(Conflict):
    """What is in suspense is cleared once, and this waits for approval or was done."""

    code = "cleared_already"


class ApproverAlready(Conflict):
    """The person has the right to approve already."""

    code = "approver_already"
