"""One process with its store in a file: killed, stopped and rolled while 2,000 people talk."""

from __future__ import annotations

import json
from typing import Any

import pytest
from harness.report import Report
from rig.faults import KILL_ALL, ROLL_ALL, Fault, strike
from rig.site import Site
from rig.upstream import CROWD

pytestmark = pytest.mark.timeout(280)


@pytest.mark.parametrize(("fault", "times"), [(KILL_ALL, 4), (ROLL_ALL, 2)], ids=["kill", "roll"])
async def test_i3_i5_i6_one_process_under_load(site: Site, report: Report, fault: Fault, times: int) -> None:
    upstream = await site.upstream(CROWD)
    service = await site.single(upstream)
    await upstream.join()
    await upstream.speak()
    await upstream.heard()
    for number in range(times):
        await strike(fault, service, upstream, number)
    checked = await upstream.check()
    report(summary(checked))
    assert checked["good"], json.dumps(checked, indent=1)
    assert checked["counts"]["acknowledged"] > 0


def summary(checked: dict[str, Any]) -> str:
    """The numbers of a report in one line."""
    counts = {key: checked["counts"][key] for key in ("sent", "acknowledged", "bounced", "silent", "duplicated_excused")}
    pauses = {name: (p["p50_ms"], p["p99_ms"], p["max_ms"]) for name, p in checked["pauses"].items()}
    return f"{counts} refused {checked['refused']} pauses in ms (p50, p99, max) {pauses}"
