"""What the checker found, in words."""

from __future__ import annotations

import json
from typing import Any

from harness.report import Report

_COUNTS = ("sent", "acknowledged", "bounced", "swallowed", "silent", "unknown", "duplicated_excused")


def good(checked: dict[str, Any], report: Report) -> dict[str, Any]:
    """Says the numbers; fails if there is a violation, or if nothing was checked."""
    report(summary(checked))
    assert checked["good"], json.dumps(checked, indent=1)
    assert checked["counts"]["acknowledged"] > 0, "nobody spoke"
    return checked


def summary(checked: dict[str, Any]) -> str:
    """The numbers of a report in one line."""
    counts = ", ".join(f"{key} {checked['counts'][key]}" for key in _COUNTS if checked["counts"][key])
    refused = ", ".join(f"{count} {condition}" for condition, count in checked["refused"].items()) or "nothing"
    if checked["refused"]:
        refused += f" after p50 {checked['refused_after']['p50_ms']} max {checked['refused_after']['max_ms']} ms"
    pauses = "; ".join(
        f"{name} x {p['faults']}: p50 {p['p50_ms']} p99 {p['p99_ms']} max {p['max_ms']} ms"
        for name, p in checked["pauses"].items()
    )
    return f"{counts}; refused: {refused}; pauses: {pauses}"
