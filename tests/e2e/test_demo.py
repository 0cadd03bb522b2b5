"""`shanmen demo`, as a user runs it: both kinds of ticket, a month, and everything agrees."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

WITHIN_S = 120.0


def test_the_demo_tells_the_truth(
    run_command: Callable[..., "subprocess.CompletedProcess[str]"], tmp_path: Path
) -> None:
    result = tmp_path / "demo.json"
    ran = run_command("demo", "--json", str(result), within_s=WITHIN_S)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    told = json.loads(result.read_text(encoding="utf-8"))
    assert told["ok"]
    assert told["disagreements"] == []
    assert {order["kind"] for order in told["orders"]} == {"single", "combined"}
    assert told["orders"][-1]["refund_status"] == "partially_refunded"
    for books in told["channels"].values():
        assert books["ours_fen"] == books["theirs_fen"] > 0
    wealth = told["wealth"]
    assert wealth["invested_fen"] == wealth["redeemed_fen"] == 60_000
    assert wealth["outstanding_fen"] == 0
    assert wealth["yield_fen"] > 0
    # 3 × 200 less 90 + 90 + 70 and what was not visited, both fees, and the yield.
    (report,) = told["reports"]
    assert report["profit_fen"] == 6_250 + 180 + 150 + wealth["yield_fen"]
    assert told["reconciliation"]["breaks"] == 0
    assert told["reconciliation"]["matched"] > 0
    assert "¥" in ran.stdout
