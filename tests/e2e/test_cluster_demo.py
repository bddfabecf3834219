"""`scripts/cluster-demo`: what it shows is true, and nothing of it is left behind."""

from __future__ import annotations

import pathlib
import re
import signal

import pytest
from harness.process import eventually
from test_demo import marked, start_demo

_SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "scripts" / "cluster-demo"
#: For hangs only: the demo waits for sessions to end, and for a machine with other work.
_HANG_SECONDS = 400.0

pytestmark = pytest.mark.timeout(500)


async def test_cluster_demo_measures_pauses_and_ends(coven_binary: pathlib.Path, tmp_path: pathlib.Path) -> None:
    demo, mark = start_demo(coven_binary, tmp_path, script=_SCRIPT)
    assert await demo.exited(_HANG_SECONDS) == 0, demo.tail()
    shown = demo.log.read_text()
    # Each fault, with the pause that was measured of it.
    struck = re.findall(r"^-- (.*\((?:SIGKILL|SIGTERM)\))\n  longest silence in the room: (\d+) ms$", shown, re.MULTILINE)
    assert [what.split(" is ")[0] for what, _ in struck] == [
        "the node that has the room",
        "the front-end that holds the stream",
        "the node that has the room",
    ], shown
    assert all(int(ms) > 0 for _, ms in struck)
    # The conversation went on, and nobody entered again.
    said = re.search(r"^  said (\d+), refused with an error \d+, seen twice \d+$", shown, re.MULTILINE)
    assert said and int(said[1]) > 0, shown
    assert "in the room all the time: 3 of 3; left or entered again: 0" in shown
    assert marked(mark) == []
    assert list(tmp_path.glob("coven-cluster-demo.*")) == []


async def test_cluster_demo_stops_all_of_it_on_ctrl_c(coven_binary: pathlib.Path, tmp_path: pathlib.Path) -> None:
    demo, mark = start_demo(coven_binary, tmp_path, script=_SCRIPT)
    await demo.wait_until(lambda: "alice opens a room" in demo.log.read_text(), _HANG_SECONDS)
    # Redis, Prosody, three nodes and two front-ends, at least.
    assert len(marked(mark)) >= 7
    demo.send_signal(signal.SIGINT)
    assert await demo.exited(_HANG_SECONDS) == 130, demo.tail()
    await eventually(lambda: marked(mark) == [], 30.0, lambda: f"left behind: {marked(mark)}")
    assert list(tmp_path.glob("coven-cluster-demo.*")) == []
