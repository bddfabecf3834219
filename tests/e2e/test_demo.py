"""The command that newcomers try first: `scripts/demo`."""

from __future__ import annotations

import os
import pathlib
import re
import signal
import time

from harness.client import Account, Client
from harness.muc import Occupant
from harness.process import Process, eventually

_DEMO = pathlib.Path(__file__).resolve().parents[2] / "scripts" / "demo"


def start_demo(binary: pathlib.Path, folder: pathlib.Path, *arguments: str) -> tuple[Process, str]:
    """Starts the demo with the binary under test; everything that it starts carries the mark."""
    mark = f"{os.getpid()}-{time.monotonic_ns()}"
    env = {"COVEN_BIN": str(binary), "COVEN_DEMO_RUN": mark, "TMPDIR": str(folder)}
    return Process("demo", [_DEMO, *arguments], log=folder / "demo.log", env=env), mark


def marked(mark: str) -> list[int]:
    """The processes that a demo started, itself included, and that still run."""
    found = []
    for environ in pathlib.Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"COVEN_DEMO_RUN={mark}".encode() in environ.read_bytes().split(b"\0"):
                found.append(int(environ.parent.name))
        except OSError:
            continue
    return found


async def test_demo_shows_history_and_ends(coven_binary: pathlib.Path, tmp_path: pathlib.Path) -> None:
    demo, mark = start_demo(coven_binary, tmp_path, "--exit")
    assert await demo.exited(240.0) == 0, demo.tail()
    shown = demo.log.read_text()
    # The newcomer sees with their times the lines that were said live before.
    live = re.findall(r"^  <(\w+)> (.*)$", shown, re.MULTILINE)
    replayed = re.findall(r"^  \[\d\d:\d\d:\d\d\] <(\w+)> (.*)$", shown, re.MULTILINE)
    assert len(replayed) >= 4
    assert live[: len(replayed)] == replayed
    # After the restart somebody who did not join again is heard.
    assert live[-1][0] == "bob"
    assert marked(mark) == []
    assert list(tmp_path.glob("coven-demo.*")) == []


async def test_demo_lets_a_visitor_in_and_stops_on_ctrl_c(coven_binary: pathlib.Path, tmp_path: pathlib.Path) -> None:
    demo, mark = start_demo(coven_binary, tmp_path)
    await demo.wait_until(lambda: "Ctrl-C stops everything" in demo.log.read_text(), 240.0)
    shown = demo.log.read_text()
    port = re.search(r"port (\d+)", shown)
    password = re.search(r"password +(\S+)", shown)
    assert port and password
    account = Account("you", "localhost", password[1], int(port[1]))
    you = Occupant(await Client.connect(account, "test"), "den@chat.localhost", "you")
    assert {s.nick for s in (await you.join()).others} == {"alice", "bob", "carol"}
    await you.client.expect(lambda s: s.nick == "alice" and "hello you" in (s.body or ""))
    await you.client.cut()
    assert len(marked(mark)) >= 3
    demo.send_signal(signal.SIGINT)
    assert await demo.exited(60.0) == 0, demo.tail()
    await eventually(lambda: marked(mark) == [], 30.0, lambda: f"left behind: {marked(mark)}")
