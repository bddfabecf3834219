"""The history checker: what clients heard and the archive holds, against what coven promises (I2 to I6).

Owns the rules, without any network: `test_history.py` shows that each of them finds what breaks it.
"""

from __future__ import annotations

import dataclasses
import itertools
import sys


@dataclasses.dataclass(frozen=True)
class Heard:
    """A copy of a groupchat message that reached a client. `at`: unix time in ms."""

    id: str
    body: str
    at: int


@dataclasses.dataclass
class Witness:
    """One session: what it said, what came back, in the order of arrival."""

    name: str
    heard: list[Heard] = dataclasses.field(default_factory=list)
    #: Bodies whose sending was answered with an error.
    refused: set[str] = dataclasses.field(default_factory=set)
    #: Bodies of its own that it heard.
    reflected: set[str] = dataclasses.field(default_factory=set)
    #: Something told the session that it is no longer there.
    thrown_out: bool = False


@dataclasses.dataclass(frozen=True)
class Barrier:
    """A ping through the server that was answered: all written before `sent` was taken in. Unix time in ms."""

    sent: int
    answered: int


@dataclasses.dataclass(frozen=True)
class Crash:
    """A moment at which coven ended, and the barriers answered until then. `back`: when it was started again; until then
    a client may still be reading what was sent before."""

    at: int
    barriers: tuple[Barrier, ...] = ()
    back: int = 0

    def last_safe(self) -> int:
        """What was written before this moment must never be written again: the barrier's answer is stored by now."""
        return max((b.sent for b in self.barriers if b.answered <= self.at - 500), default=0)


def check(archive: list[tuple[str, str]], witnesses: list[Witness], crashes: list[Crash]) -> list[str]:
    """All broken promises, in words; none is good. `archive`: (id, body) in order, all of it, of one room in which every
    witness was present from the first entry to the last."""
    ids = [id_ for id_, _ in archive]
    bodies = [body for _, body in archive]
    faults = [f"archived twice: {b}" for b in sorted({b for b in bodies if bodies.count(b) > 1})]
    faults += [f"one id twice in the archive: {i}" for i in sorted({i for i in ids if ids.count(i) > 1})]
    for witness in witnesses:
        faults += [f"{witness.name}: {fault}" for fault in _check_one(ids, set(bodies), witness, crashes)]
    return faults


def _check_one(ids: list[str], bodies: set[str], witness: Witness, crashes: list[Crash]) -> list[str]:
    faults = []
    if witness.thrown_out:
        faults.append("thrown out of the room")
    faults += [f"reflected but not archived: {b}" for b in sorted(witness.reflected - bodies)]
    faults += [f"refused but archived: {b}" for b in sorted(witness.refused & bodies)]
    faults += _order(ids, witness)
    faults += _repeats(witness, crashes)
    return faults


def _order(ids: list[str], witness: Witness) -> list[str]:
    """First copies are the archive, no more, no less, in its order."""
    first: dict[str, None] = dict.fromkeys(h.id for h in witness.heard)
    heard = list(first)
    if heard == ids:
        return []
    faults = [f"never heard: {i}" for i in ids if i not in first]
    faults += [f"heard but not archived: {i}" for i in heard if i not in set(ids)]
    return faults or ["heard in another order than the archive's"]


def _repeats(witness: Witness, crashes: list[Crash]) -> list[str]:
    """Repeats only of what was sent after the last stored barrier before a crash, and in order."""
    faults = []
    seen: dict[str, int] = {}
    for copy in witness.heard:
        if copy.id not in seen:
            seen[copy.id] = copy.at
            continue
        between = [c for c in crashes if seen[copy.id] <= max(c.at, c.back) and c.at <= copy.at]
        if not between:
            faults.append(f"repeated without a crash: {copy.id} at {seen[copy.id]} and {copy.at}")
        elif all(seen[copy.id] < c.last_safe() for c in between):
            faults.append(f"repeated though acknowledged: {copy.id}")
    return faults + _segments(witness, crashes)


def _segments(witness: Witness, crashes: list[Crash]) -> list[str]:
    """Between two starts, copies come in the order in which they first came, each once: also the repeated ones."""
    first = {copy.id: n for n, copy in reversed(list(enumerate(witness.heard)))}
    starts = [0, *(max(c.at, c.back) for c in crashes), sys.maxsize]
    for begin, end in itertools.pairwise(starts):
        places = [first[c.id] for c in witness.heard if begin <= c.at < end]
        if any(a >= b for a, b in itertools.pairwise(places)):
            return ["repeats out of order"]
    return []
