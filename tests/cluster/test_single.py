"""One process that does all: killed and rolled while 1,300 people talk, and its server in trouble."""

from __future__ import annotations

import pytest
from harness.report import Report
from rig.faults import CUT_STREAM, KILL_PROCESS, ROLL_PROCESS, STALL_STREAM, Fault, Scene, strike
from rig.findings import good
from rig.site import Site
from rig.upstream import HALL, SMALL, Group

pytestmark = pytest.mark.timeout(800)


@pytest.mark.parametrize(
    ("fault", "times", "groups"), [(KILL_PROCESS, 3, HALL), (ROLL_PROCESS, 2, SMALL)], ids=["kill", "roll"]
)
async def test_i3_i5_i6_one_process_under_load(
    site: Site, report: Report, fault: Fault, times: int, groups: tuple[Group, ...]
) -> None:
    upstream = await site.upstream(groups)
    scene = Scene(await site.single(upstream), upstream)
    await upstream.begin()
    for number in range(times):
        await strike(fault, scene, number)
    good(await upstream.check(), report)


async def test_i3_i5_i6_the_server_cuts_streams_and_reads_nothing(site: Site, report: Report) -> None:
    upstream = await site.upstream(SMALL)
    scene = Scene(await site.single(upstream), upstream)
    await upstream.begin()
    for number, fault in enumerate((CUT_STREAM, STALL_STREAM)):
        await strike(fault, scene, number)
    good(await upstream.check(), report)
