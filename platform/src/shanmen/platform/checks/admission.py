"""Admission: once per entitlement, with a ticket that was issued, at its spot, in its time."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from shanmen.platform.checks.invariants import Invariant, compared, none_of
from shanmen.platform.checks.view import Row, keyed

_PASSES: Final = keyed(
    "verification",
    "SELECT entitlement_id AS key, ticket_no, order_no, spot_id, activated, valid_from,"
    " valid_until FROM passes",
)
_ISSUED: Final = keyed(
    "orders",
    "SELECT entitlement_id AS key, ticket_no, e.order_no, spot_id, t.activated, valid_from,"
    " valid_until FROM entitlements e JOIN tickets t USING (ticket_no)",
)


def _judge_pass(_: str, rows: Mapping[str, Row | None]) -> Iterable[str]:
    held, issued = rows["pass"], rows["issued"]
    if issued is None:
        yield "a pass that no ticket was issued for"
    elif held is None:
        yield "issued, and no gate knows it"
    elif differing := [name for name, value in held.items() if value != issued[name]]:
        yield f"the pass and the ticket differ in {', '.join(differing)}"


INVARIANTS: Final[Sequence[Invariant]] = (
    Invariant(
        "K2",
        "At most one admission per entitlement",
        [
            none_of(
                "verification",
                "passes",
                "SELECT entitlement_id, usage, admissions FROM ("
                " SELECT p.entitlement_id, p.usage, count(s.scan_id) AS admissions"
                " FROM passes p LEFT JOIN scans s"
                " ON s.entitlement_id = p.entitlement_id AND s.verdict = 'admitted'"
                " GROUP BY p.entitlement_id, p.usage) AS counted"
                " WHERE admissions <> CASE usage WHEN 'used' THEN 1 ELSE 0 END",
            )
        ],
    ),
    Invariant(
        "K3",
        "Whoever was admitted had a ticket for this spot, valid and activated at that time",
        [
            none_of(
                "verification",
                "scans WHERE verdict = 'admitted'",
                "SELECT s.scan_id, s.entitlement_id, s.spot_id, s.scanned_at FROM scans s"
                " LEFT JOIN passes p USING (entitlement_id) WHERE s.verdict = 'admitted' AND ("
                " p.entitlement_id IS NULL OR p.spot_id <> s.spot_id OR NOT p.activated"
                " OR p.ticket_no IS DISTINCT FROM s.ticket_no"
                " OR s.scanned_at < p.valid_from OR s.scanned_at >= p.valid_until)",
            ),
            compared({"pass": _PASSES, "issued": _ISSUED}, _judge_pass),
        ],
    ),
    Invariant(
        "K4",
        "Every scan has its verdict, and the pass names the scan that used it up",
        [
            none_of(
                "verification",
                "scans",
                "SELECT scan_id, verdict, code FROM scans"
                " WHERE (verdict = 'admitted') <> (code IS NULL)",
            ),
            none_of(
                "verification",
                "passes WHERE usage = 'used'",
                "SELECT p.entitlement_id, p.used_scan_id, s.verdict FROM passes p"
                " LEFT JOIN scans s ON s.scan_id = p.used_scan_id"
                " WHERE p.usage = 'used' AND (s.scan_id IS NULL OR s.verdict <> 'admitted'"
                " OR s.entitlement_id <> p.entitlement_id OR s.scanned_at <> p.used_at)",
            ),
        ],
    ),
)
