"""The whole programme of faults, in parts that can be taken up again: `scripts/faults` runs it.

Each part is one service and one kind of fault, with histories of its own. What it finds is appended to a file, keyed by
commit and run, as soon as the part is over; a run that was broken off goes on with the parts that are missing.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from typing import Any

from . import faults, findings
from .faults import Fault, Scene, Struck, strike
from .site import Site, no_cluster, older, sentinel_url
from .upstream import CROWD

_ROOT = pathlib.Path(__file__).resolve().parents[3]


async def _single(site: Site) -> Scene:
    upstream = await site.upstream(CROWD)
    return Scene(await site.single(upstream), upstream)


async def _single_with_sentinel(site: Site) -> Scene:
    upstream, redis = await site.upstream(CROWD), await site.redis(sentinels=3)
    return Scene(await site.single(upstream, sentinel_url(redis)), upstream, redis)


async def _cluster(site: Site, sentinels: int = 0) -> Scene:
    upstream, redis, proxy = await site.upstream(CROWD), await site.redis(sentinels), await site.proxy()
    return Scene(await site.cluster(upstream, redis, proxy), upstream, redis, proxy)


async def _older_cluster(site: Site) -> Scene:
    upstream, redis, proxy = await site.upstream(CROWD), await site.redis(), await site.proxy()
    cluster = await site.cluster(upstream, redis, proxy, binary=older())
    return Scene(cluster, upstream, redis, proxy, older())


async def _cluster_with_sentinel(site: Site) -> Scene:
    return await _cluster(site, sentinels=3)


@dataclasses.dataclass(frozen=True)
class Part:
    """One kind of fault, so many times."""

    fault: Fault
    count: int
    make: Callable[[Site], Awaitable[Scene]] = _cluster
    #: Whether it belongs to the programme, or is done only when it is asked for.
    always: bool = True


PARTS = (
    Part(faults.KILL_NODE, 30),
    Part(faults.KILL_FRONT, 15),
    Part(faults.STOP, 10),
    Part(faults.CUT_REDIS, 10),
    Part(faults.CUT_FRONT, 10),
    Part(faults.FAIL_OVER, 6, _cluster_with_sentinel),
    Part(faults.ROLL, 6),
    Part(faults.UPGRADE, 4, _older_cluster),
    Part(faults.REDIS_AWAY, 1, always=False),
    Part(faults.CUT_STREAM, 6, always=False),
    Part(faults.STALL_STREAM, 3, always=False),
    Part(faults.KILL_PROCESS, 30, _single, always=False),
    Part(faults.ROLL_PROCESS, 6, _single, always=False),
    Part(faults.STOP_PROCESS, 2, _single, always=False),
    Part(dataclasses.replace(faults.FAIL_OVER, name="fail-over-process"), 6, _single_with_sentinel, always=False),
)


async def run(part: Part, count: int, folder: pathlib.Path) -> dict[str, Any]:
    """Does the faults of a part; returns what was found."""
    began = time.monotonic()
    struck: list[Struck] = []
    error: str | None = None
    async with Site(folder) as site:
        scene = await part.make(site)
        await scene.upstream.begin()
        try:
            for number in range(count):
                struck.append(await strike(part.fault, scene, number))
                print(f"  {part.fault.name} {number + 1}/{count}: {struck[-1].seconds:.1f} s", flush=True)
        except (AssertionError, TimeoutError) as stopped:
            # What was done so far is checked all the same.
            error = f"{type(stopped).__name__}: {stopped}"
        checked = await _checked(scene, error)
    error = error or _too_long(part.fault, checked)
    return {
        "part": part.fault.name,
        "asked": count,
        "struck": len(struck),
        "seconds": round(time.monotonic() - began),
        "in_flight": min((s.commits_before for s in struck), default=0),
        "error": error,
        **checked,
    }


def _too_long(fault: Fault, checked: dict[str, Any]) -> str | None:
    p99 = checked["pauses"].get(fault.name, {}).get("p99_ms")
    if fault.p99_ms is None or p99 is None or p99 <= fault.p99_ms:
        return None
    return f"pauses of {p99} ms, {fault.p99_ms} ms are promised"


async def _checked(scene: Scene, error: str | None) -> dict[str, Any]:
    try:
        return await scene.upstream.check()
    except (AssertionError, TimeoutError) as stopped:
        return {"good": False, "unchecked": str(stopped), "counts": {}, "refused": {}, "pauses": {}, "violations": {}}


def commit() -> str:
    """The commit of the working copy, with a mark if something is changed in it."""
    git = ["git", "-C", str(_ROOT)]
    head = subprocess.run([*git, "rev-parse", "--short=10", "HEAD"], capture_output=True, text=True, check=True)
    status = [*git, "status", "--porcelain", "--untracked-files=no", "--", ".", ":!docs/faults*"]
    changed = subprocess.run(status, capture_output=True, text=True, check=True)
    return head.stdout.strip() + ("+" if changed.stdout.strip() else "")


class Results:
    """The file with all findings, and the page that is made of it."""

    def __init__(self, file: pathlib.Path) -> None:
        self.file = file
        text = file.read_text() if file.exists() else ""
        self.lines: list[dict[str, Any]] = [json.loads(line) for line in text.splitlines()]

    def last_run(self, commit: str) -> int:
        """The number of the newest run at a commit; 0 if there is none."""
        return max((line["run"] for line in self.lines if line["commit"] == commit), default=0)

    def parts(self, commit: str, run: int) -> set[str]:
        """The parts of a run that were done to the end."""
        return {x["part"] for x in self.lines if (x["commit"], x["run"]) == (commit, run) and x["struck"] == x["asked"]}

    def add(self, line: dict[str, Any]) -> None:
        """Appends a finding, and writes the page anew."""
        self.lines.append(line)
        with self.file.open("a") as file:
            file.write(json.dumps(line) + "\n")
        self.file.with_suffix(".md").write_text(page(self.lines))


def page(lines: list[dict[str, Any]]) -> str:
    """The findings as a table."""
    head = (
        "# Faults\n\nWhat `scripts/faults` found, newest last; the whole reports are in `faults.jsonl`. A commit with a "
        "`+` had changes that were not committed. Pauses are over (fault, room), in milliseconds; `in flight` is the "
        "smallest number of commits that were made within the last tenth of a second before a fault. What the columns "
        "mean is in `tests/cluster/README.md`.\n\n"
        "| commit | run | fault | times | in flight | sent | seen | refused | bounced | silent | twice, excused "
        "| p50 | p99 | max | violations |\n|" + "---|" * 15 + "\n"
    )
    return head + "".join(_row(line) for line in lines)


def _row(line: dict[str, Any]) -> str:
    counts = line["counts"]
    pauses = line["pauses"].get(line["part"], {})
    wrong = ", ".join(f"{name} {what['count']}" for name, what in line["violations"].items())
    wrong = "; ".join(filter(None, [wrong, line["error"], line.get("unchecked")])) or "none"
    cells = [
        *(line["commit"], line["run"], line["part"], f"{line['struck']}/{line['asked']}", line["in_flight"]),
        *(counts.get("sent"), counts.get("acknowledged"), sum(line["refused"].values())),
        *(counts.get("bounced"), counts.get("silent"), counts.get("duplicated_excused")),
        *(pauses.get("p50_ms"), pauses.get("p99_ms"), pauses.get("max_ms"), wrong[:200].replace("\n", " ")),
    ]
    return "| " + " | ".join("" if cell is None else str(cell) for cell in cells) + " |\n"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/faults", description="Does the whole programme of faults.")
    names = [part.fault.name for part in PARTS]
    parser.add_argument("--only", action="append", choices=names, metavar="KIND", help=f"one of: {', '.join(names)}")
    parser.add_argument("--count", type=int, metavar="N", help="so many faults of each kind")
    parser.add_argument("--resume", action="store_true", help="go on with the last run at this commit")
    parser.add_argument("--results", type=pathlib.Path, default=_ROOT / "docs" / "faults.jsonl", metavar="FILE")
    parser.add_argument("--keep", type=pathlib.Path, metavar="FOLDER", help="keep logs and histories there")
    return parser.parse_args()


async def main() -> int:
    """Runs what was asked for; the exit code is 1 if something was found."""
    arguments = _arguments()
    parts = [p for p in PARTS if (p.fault.name in arguments.only if arguments.only else p.always)]
    if any(p.make in (_cluster, _cluster_with_sentinel) for p in parts) and (why := no_cluster()) is not None:
        print(why, file=sys.stderr)
        return 2
    if older() is None:
        # `scripts/faults` has said why.
        parts = [p for p in parts if p.make is not _older_cluster]
    results, key = Results(arguments.results), commit()
    number = results.last_run(key) + (0 if arguments.resume and results.last_run(key) else 1)
    done = results.parts(key, number)
    good = True
    for part in (p for p in parts if p.fault.name not in done):
        count = arguments.count or part.count
        print(f"{part.fault.name} x {count}", flush=True)
        found = await _in_folder(part, count, arguments.keep)
        results.add({"commit": key, "run": number, **found})
        good = good and found["good"] and found["error"] is None
        print(f"  {'good' if found['good'] else 'NOT GOOD'}; {found['error'] or ''} {_words(found)}", flush=True)
    return 0 if good else 1


def _words(found: dict[str, Any]) -> str:
    if not found["counts"]:
        return str(found.get("unchecked"))
    wrong = {name: what["count"] for name, what in found["violations"].items()}
    return f"{findings.summary(found)}; violations: {wrong or 'none'}"


async def _in_folder(part: Part, count: int, keep: pathlib.Path | None) -> dict[str, Any]:
    if keep is not None:
        folder = keep / f"{part.fault.name}-{int(time.time())}"
        folder.mkdir(parents=True)
        return await run(part, count, folder)
    with tempfile.TemporaryDirectory(prefix="coven-faults.") as folder_name:
        return await run(part, count, pathlib.Path(folder_name))


if __name__ == "__main__":
    # SIGTERM ends the run as Ctrl-C does: what was started is stopped.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(asyncio.run(main()))
