"""The history checker: what clients heard and the archive holds, against what coven promises (I2 to I6).

Owns the rules, without any network: `test_history.py` shows that each of them finds what breaks it. What is no fault of
coven's is counted apart (`Tally`), each by its own rule: an error or a silence that no rule explains is a fault.
"""

from __future__ import annotations

import dataclasses
import itertools
import sys
from collections.abc import Iterable

#: So long before a kill (ms) stanzas may have been under way, or read and not yet committed: XEP-0114 has no
#: acknowledgements for them.
UNDER_WAY = 5_000
#: So long after coven was back (ms) a client may still be reading what its server had answered before, where nobody knows
#: it better.
READING = 2_000
#: So long after a barrier was answered (ms) it is stored: acknowledgements wait for half a second at most (IL-28).
STORED_WITHIN = 500


@dataclasses.dataclass(frozen=True)
class Heard:
    """A copy of a groupchat message that reached a client. `at`: unix time in ms."""

    id: str
    body: str
    at: int


@dataclasses.dataclass(frozen=True)
class Refused:
    """A stanza of type error that came for something a session had sent. `what`: the body, or what was read."""

    what: str
    at: int
    condition: str
    #: The server says that nothing is attached. Else the error is of coven's making.
    by_server: bool


@dataclasses.dataclass
class Read:
    """A request that changes nothing, and when its answer came."""

    what: str
    sent: int
    answered: int | None = None
    #: It is answered behind all that the same session asked before. Pages of archives are not.
    ordered: bool = True


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
    #: Bodies that it sent, and when.
    said: dict[str, int] = dataclasses.field(default_factory=dict)
    #: All errors that came.
    errors: list[Refused] = dataclasses.field(default_factory=list)
    reads: list[Read] = dataclasses.field(default_factory=list)


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
    #: When it was last seen attached, and when it was attached again.
    alive: int = 0
    up: int = 0
    #: By then every client had read all that its server had answered before coven was attached again.
    read: int = 0
    #: It ended by SIGTERM: all that it read is committed, and all that it wrote is behind a last barrier. That one is among
    #: the barriers if the server answered it in time; what they cover is stored.
    clean: bool = False
    #: It ended cleanly, but a time within which the server has to be done ran out: on a busy machine it was still writing.
    in_haste: bool = False

    @property
    def began(self) -> int:
        return self.alive or self.at

    @property
    def over(self) -> int:
        return max(self.up, self.back, self.at)

    def last_safe(self) -> int:
        """What was written before this moment must never be written again: the barrier's answer is stored by now."""
        if self.clean:
            return max((b.sent for b in self.barriers), default=sys.maxsize)
        return max((b.sent for b in self.barriers if b.answered <= self.began - STORED_WITHIN), default=0)

    def may_swallow(self, sent: int) -> bool:
        """Whether something sent at this time may have found nobody, without an error."""
        return self.began - UNDER_WAY <= sent <= self.over


@dataclasses.dataclass
class Tally:
    """What was no fault of coven's."""

    #: Errors that the server made because nothing was attached.
    bounced: int = 0
    #: Reads that came after coven's close, or were under way when it was killed: servers drop their answers.
    unanswered: int = 0
    #: Messages that were under way when coven was killed.
    lost: int = 0
    #: Copies that came again, as they may after a kill.
    repeated: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(*(a + b for a, b in zip(dataclasses.astuple(self), dataclasses.astuple(other), strict=True)))

    def __str__(self) -> str:
        return (
            f"{self.bounced} bounced by the server while nothing was attached, {self.unanswered} reads without an answer, "
            f"{self.lost} messages lost under way, {self.repeated} copies repeated"
        )


def check(archive: list[tuple[str, str]], witnesses: list[Witness], crashes: list[Crash]) -> list[str]:
    """All broken promises, in words; none is good. `archive`: (id, body) in order, all of it, of one room in which every
    witness was present from the first entry to the last."""
    ids = [id_ for id_, _ in archive]
    bodies = [body for _, body in archive]
    faults = [f"archived twice: {b}" for b in sorted({b for b in bodies if bodies.count(b) > 1})]
    faults += [f"one id twice in the archive: {i}" for i in sorted({i for i in ids if ids.count(i) > 1})]
    for witness in witnesses:
        faults += [f"{witness.name}: {fault}" for fault in _check_one(archive, witness, crashes)]
        _, unexplained = _count(witness, set(bodies), crashes)
        faults += [f"{witness.name}: {fault}" for fault in unexplained]
    return faults


def tally(archive: list[tuple[str, str]], witnesses: list[Witness], crashes: list[Crash]) -> Tally:
    """What was counted apart."""
    bodies = {body for _, body in archive}
    return sum((_count(w, bodies, crashes)[0] for w in witnesses), Tally())


def _check_one(archive: list[tuple[str, str]], witness: Witness, crashes: list[Crash]) -> list[str]:
    faults = []
    ids, bodies, texts = [id_ for id_, _ in archive], {body for _, body in archive}, dict(archive)
    if witness.thrown_out:
        faults.append("thrown out of the room")
    faults += [f"reflected but not archived: {b}" for b in sorted(witness.reflected - bodies)]
    faults += [f"refused but archived: {b}" for b in sorted(witness.refused & bodies)]
    faults += [f"refused but heard: {h.body}" for h in witness.heard if h.body in witness.refused]
    faults += [f"another text than the archive's: {h.id}" for h in witness.heard if texts.get(h.id, h.body) != h.body]
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
    """Repeats only of what was sent after the last stored barrier before an end, and in order."""
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


def _count(witness: Witness, bodies: set[str], crashes: list[Crash]) -> tuple[Tally, list[str]]:
    """What is explained, and in words what is not."""
    bounced, errors = _errors(witness, crashes)
    unanswered, silent = _reads(witness, crashes)
    lost, vanished = _vanished(witness, bodies, crashes)
    repeated = len(witness.heard) - len({h.id for h in witness.heard})
    return Tally(bounced, unanswered, lost, repeated), errors + silent + vanished


def _errors(witness: Witness, crashes: list[Crash]) -> tuple[int, list[str]]:
    """The server's own errors are explained while nothing is attached; coven makes none, on SIGTERM or ever."""
    bounced, faults = 0, []
    for error in witness.errors:
        detached = any(c.began <= error.at <= (c.read or c.over + READING) for c in crashes)
        if error.by_server and detached:
            bounced += 1
        else:
            whose = "the server's, though coven was attached" if error.by_server else "coven's"
            faults.append(f"an error that nothing explains, {whose}: {error.condition} for {error.what} at {error.at}")
    return bounced, faults


def _reads(witness: Witness, crashes: list[Crash]) -> tuple[int, list[str]]:
    """A read may stay without an answer if coven had closed, or died, before it could give one: then it gave none to what
    was read after it either."""
    refused = {error.what for error in witness.errors}
    unanswered, faults = 0, []
    for read in witness.reads:
        if read.answered is not None or read.what in refused:
            continue
        ends = [c for c in crashes if c.may_swallow(read.sent)]
        if not ends:
            faults.append(f"never answered: {read.what}, asked at {read.sent}")
        elif all(_answered_later(witness.reads, read, c) for c in ends):
            faults.append(f"passed over: {read.what}, asked at {read.sent}, though a later one was answered")
        else:
            unanswered += 1
    return unanswered, faults


def _answered_later(reads: Iterable[Read], read: Read, crash: Crash) -> bool:
    """Whether the process that had to answer a read answered one that was asked after it."""
    answered = [r for r in reads if r.ordered and r.answered is not None and r.answered < crash.began]
    return read.ordered and any(r.sent > read.sent for r in answered)


def _vanished(witness: Witness, bodies: set[str], crashes: list[Crash]) -> tuple[int, list[str]]:
    """A message without reflection and without error (I5) may have been under way when coven was killed; then all that its
    sender sent after it was, too. On SIGTERM all that was read is committed, if the server was done in time."""
    lost, faults = 0, []
    for body, sent in witness.said.items():
        if body in bodies or body in witness.refused:
            continue
        ends = [c for c in crashes if (c.in_haste or not c.clean) and c.may_swallow(sent)]
        if not ends:
            faults.append(f"vanished: {body}, said at {sent}")
        elif all(_archived_later(witness, bodies, sent, c) for c in ends):
            faults.append(f"passed over: {body}, said at {sent}, though a later one is archived")
        else:
            lost += 1
    return lost, faults


def _archived_later(witness: Witness, bodies: set[str], sent: int, crash: Crash) -> bool:
    """Whether something that was said later, to the same process, is in the archive."""
    return any(sent < later < crash.began and body in bodies for body, later in witness.said.items())
