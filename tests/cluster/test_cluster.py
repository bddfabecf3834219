"""Three nodes and two front-ends on Redis: each kind of fault once or twice. The whole is `scripts/faults`."""

from __future__ import annotations

import pytest
from harness.report import Report
from rig.faults import CUT_FRONT, CUT_REDIS, KILL_FRONT, KILL_NODE, ROLL, Fault, Scene, strike
from rig.findings import good
from rig.site import Site, no_cluster
from rig.upstream import SMALL

pytestmark = pytest.mark.timeout(800)


@pytest.mark.parametrize(
    "faults",
    [(KILL_NODE, KILL_FRONT, KILL_NODE), (CUT_REDIS, CUT_FRONT, CUT_FRONT), (ROLL,)],
    ids=["kill", "cut", "roll"],
)
async def test_i3_i5_i6_a_cluster_under_load(site: Site, report: Report, faults: tuple[Fault, ...]) -> None:
    if (why := no_cluster()) is not None:
        pytest.skip(why)
    upstream = await site.upstream(SMALL)
    redis, proxy = await site.redis(), await site.proxy()
    scene = Scene(await site.cluster(upstream, redis, proxy), upstream, redis, proxy)
    await upstream.begin()
    for number, fault in enumerate(faults):
        await strike(fault, scene, number)
    good(await upstream.check(), report)
