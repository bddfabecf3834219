"""Twenty people talk and read while coven ends, again and again: nobody has to rejoin, nothing seen is lost (I2 to I6).

It is killed at random moments, ends at fail points (named places, in a build with the cargo feature `fail-points`), and
by SIGTERM.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import datetime
import json
import os
import pathlib
import random
import re
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest
from harness.client import DEADLINE, Client
from harness.coven import Config, Coven, StartCoven
from harness.history import STORED_WITHIN, Barrier, Crash, Heard, Read, Refused, Witness, check, tally
from harness.muc import Occupant, read_whole_archive
from harness.process import Process
from harness.prosody import Prosody
from harness.report import Report
from harness.stanza import DISCO_INFO, MAM, PING, RSM, Stanza, tag, text

DOMAIN = "chat.localhost"
ROOM = f"coven@{DOMAIN}"
QUIET_ROOM = f"quiet@{DOMAIN}"
PEOPLE = 20
#: Where the process ends; the number is how often it passes there first: claims at the start are commits too, and what it
#: asks its server then are writes.
FAIL_POINTS = [
    "node-after-decide:40",
    "store-before-commit:1200",
    "store-after-commit:1200",
    "node-after-commit:40",
    "front-mid-write:200",
    "front-after-write-before-ack:200",
    "store-during-snapshot:1",
    "store-during-packing:1",
    "store-during-trimming:1",
]
#: Snapshots are written and messages packed when a room goes quiet: after so many seconds of talk it does.
QUIET_AFTER = {"store-during-snapshot:1": 1.5, "store-during-packing:1": 1.5}
#: With a log as small as this, it is trimmed while people talk.
LOG_LIMIT = 64 * 1024
RANDOM_CRASHES = 20
TERMINATIONS = 6
#: After this silence (ms) nothing is on its way any more.
SILENCE = 4_000
#: The end of a stream takes less than this (ms), unless the server is not done in time.
FAREWELL = 5_000
MINUTE = 60_000


def now() -> int:
    return time.time_ns() // 1_000_000


class Speaker:
    """One session that talks and reads, waits for its own words, and notes all that it hears."""

    def __init__(self, occupant: Occupant, server: Prosody, coven: Coven) -> None:
        self.occupant = occupant
        self.witness = Witness(occupant.nick)
        self.quiet: list[str] = []
        self._server = server
        self._coven = coven
        self._said: dict[str, str] = {}
        self._asked: dict[str, Read] = {}
        self._news = asyncio.Event()
        self._count = 0
        occupant.client.inbox.listen(self._hear)

    @property
    def client(self) -> Client:
        return self.occupant.client

    async def talk(self, stop: asyncio.Event, pause: float) -> None:
        """Says something, reads something, waits for its words to come back, and so on. What was said to a process that has
        ended may never come back."""
        while not stop.is_set():
            self._count += 1
            body = f"{self.occupant.nick} {self._count}"
            id_ = self.client.next_id()
            self._said[id_], self.witness.said[body] = body, now()
            told = self._coven.process
            await self.occupant.say(body, id_)
            await self._read()
            await self._answered(body, told)
            await asyncio.sleep(random.uniform(0, pause))

    async def _answered(self, body: str, told: Process | None) -> None:
        """Whoever goes on without an answer, on a slow machine, says more than the server can carry."""
        async with asyncio.timeout(DEADLINE):
            while body not in self.witness.reflected | self.witness.refused:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.5):
                        await self.until(lambda: body in self.witness.reflected | self.witness.refused)
                        return
                if told is None or told.exit_code is not None:
                    return

    async def _read(self) -> None:
        """One of three reads in turn; nobody waits for the answer here."""
        kind = self._count % 3
        id_ = self.client.next_id()
        read = self._asked[id_] = Read(f"read {self._count}", now(), ordered=kind != 2)
        self.witness.reads.append(read)
        if kind == 0:
            iq = tag("iq", tag("ping", xmlns=PING), to=self.occupant.jid, type_="get", id_=id_)
        elif kind == 1:
            iq = tag("iq", tag("query", xmlns=DISCO_INFO), to=ROOM, type_="get", id_=id_)
        else:
            last = tag("set", text("max", "1") + "<before/>", xmlns=RSM)
            iq = tag("iq", tag("query", last, xmlns=MAM), to=ROOM, type_="set", id_=id_)
        await self.client.send(iq)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Waits until `condition()` holds; it is looked at whenever something was heard."""
        while not condition():
            self._news.clear()
            await self._news.wait()

    async def heard_all(self, ids: set[str], since: int, timeout: float = DEADLINE) -> None:
        """Waits until everything has arrived, and all that was asked since then is answered."""

        def done() -> bool:
            asked = [r for r in self.witness.reads if r.sent > since]
            refused = {e.what for e in self.witness.errors}
            return ids <= {h.id for h in self.witness.heard} and all(r.answered or r.what in refused for r in asked)

        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self.until(done)

    def _hear(self, stanza: Stanza) -> None:
        self._note(stanza)
        self._news.set()

    def _note(self, stanza: Stanza) -> None:
        room, _, nick = stanza.sender.partition("/")
        if stanza.type == "error":
            self._note_error(stanza)
        elif stanza.kind == "iq" and stanza.id in self._asked:
            self._asked[stanza.id].answered = now()
        elif stanza.kind == "presence" and stanza.type == "unavailable" and nick == self.occupant.nick:
            self.witness.thrown_out = True
        elif stanza.kind == "message" and stanza.type == "groupchat" and stanza.body:
            id_ = stanza.get("sid:stanza-id", "id") or ""
            if room == QUIET_ROOM:
                self.quiet.append(id_)
                return
            self.witness.heard.append(Heard(id_, stanza.body, now()))
            if nick == self.occupant.nick:
                self.witness.reflected.add(stanza.body)

    def _note_error(self, stanza: Stanza) -> None:
        """Every error is noted: the checker says which of them are explained."""
        id_ = stanza.id or ""
        if id_ in self._said:
            self.witness.refused.add(self._said[id_])
        elif id_ not in self._asked:
            return
        what = self._said.get(id_) or self._asked[id_].what
        condition = (stanza.error or ("none", ""))[0]
        by_server = self._server.says_nobody_is_attached(stanza)
        self.witness.errors.append(Refused(what, now(), condition, by_server))


class Crowd:
    """Everybody, on one Prosody, with the coven that ends."""

    def __init__(self, prosody: Prosody, coven: Coven) -> None:
        self.prosody = prosody
        self.coven = coven
        self.speakers: list[Speaker] = []
        self.crashes: list[Crash] = []
        #: When something was said in the quiet room, for the last time.
        self.quiet_since = 0
        self._archive: list[tuple[str, str]] = []
        self._trace = coven.folder / "barriers.jsonl"
        coven.env["COVEN_BARRIER_TRACE"] = str(self._trace)

    async def gather(self) -> None:
        for n in range(PEOPLE):
            client = await self.prosody.login(f"u{n}")
            occupant = Occupant(client, ROOM, f"n{n}")
            quiet = Occupant(client, QUIET_ROOM, f"n{n}")
            await (occupant.create() if n == 0 else occupant.join())
            await (quiet.create() if n == 0 else quiet.join())
            self.speakers.append(Speaker(occupant, self.prosody, self.coven))
        await Occupant(self.speakers[0].client, QUIET_ROOM, "n0").say("said once, long ago")
        self.quiet_since = now()
        await self._taken_in(now())

    async def _taken_in(self, said: int) -> None:
        """Waits for a barrier that covers what was said, and for the time in which its answer is stored."""
        async with asyncio.timeout(DEADLINE):
            while not any(b.sent > said and b.answered < now() - STORED_WITHIN - 100 for b in self._barriers()):
                await asyncio.sleep(0.1)

    async def crash(self, fail_point: str | None, after: float, talk_on: bool) -> None:
        """Everybody talks; the process ends; it comes back. Then they talk on, or nobody says a word."""
        stop, talk = self._talk()
        assert self.coven.process is not None
        if fail_point is None:
            await asyncio.sleep(after)
            alive = now()
            await self.coven.kill()
        else:
            alive = await self._ends_by_itself(stop, quiet_after=QUIET_AFTER.get(fail_point))
            assert self.coven.process.exit_code == -signal.SIGABRT, f"it did not end at {fail_point}"
        await self._come_back(stop, talk, talk_on, Crash(now(), tuple(self._barriers()), alive=alive))
        assert self.crashes[-1].last_safe() > 0, "no barrier was answered before the crash"

    async def _ends_by_itself(self, stop: asyncio.Event, quiet_after: float | None) -> int:
        """Waits for the end, and says when the process was last seen alive. With `quiet_after`, in seconds, the room goes
        quiet meanwhile; the end may come before."""
        process, begun = self.coven.process, now()
        assert process is not None
        alive = begun
        async with asyncio.timeout(200):
            while process.exit_code is None:
                alive = now()
                if quiet_after is not None and alive - begun >= quiet_after * 1000:
                    stop.set()
                await asyncio.sleep(0.01)
        return alive

    async def terminate(self, after: float, talk_on: bool) -> None:
        """Everybody talks, though no more than Prosody can answer barriers besides; SIGTERM; it comes back. It ends without a
        word of warning."""
        stop, talk = self._talk(pause=0.5)
        await asyncio.sleep(after)
        assert await self.coven.terminate() == 0
        lines = self.coven.log(after="draining")
        assert [line for line in lines if line["level"] in ("WARN", "ERROR")] == []
        assert [line["event"] for line in lines if "event" in line] == ["draining", "upstream-down", "drained"]
        closed = next(line for line in lines if line.get("event") == "upstream-down")
        # Behind the barrier that seals the stream nothing is answered any more.
        barriers = tuple(self._barriers())
        alive = min(barriers[-1].sent, unix_ms(closed["timestamp"]))
        # Long enough for words and reads that find nobody.
        await asyncio.sleep(0.3)
        in_haste = unix_ms(closed["timestamp"]) - unix_ms(lines[0]["timestamp"]) >= FAREWELL
        await self._come_back(stop, talk, talk_on, Crash(now(), barriers, alive=alive, clean=True, in_haste=in_haste))

    def _talk(self, pause: float = 0.05) -> tuple[asyncio.Event, list[asyncio.Task[None]]]:
        stop = asyncio.Event()
        return stop, [asyncio.create_task(s.talk(stop, pause)) for s in self.speakers]

    async def _come_back(
        self, stop: asyncio.Event, talk: list[asyncio.Task[None]], talk_on: bool, crash: Crash
    ) -> None:
        if not talk_on:
            stop.set()
            await asyncio.gather(*talk)
        self.coven.env.pop("COVEN_FAILPOINT", None)
        await self._all_read()
        back = now()
        await self.coven.start()
        up = now()
        await self._served()
        self.crashes.append(dataclasses.replace(crash, back=back, alive=crash.began, up=up, read=now()))
        if talk_on:
            await asyncio.sleep(0.5)
        stop.set()
        await asyncio.gather(*talk)
        if not talk_on:
            await self._silent()

    async def restart(self) -> None:
        """Ends and starts it while nobody says anything, such as with another environment."""
        alive = now()
        assert await self.coven.terminate() == 0
        ended = now()
        await self.coven.start()
        up = now()
        await self._served()
        self.crashes.append(Crash(ended, tuple(self._barriers()), ended, alive, up, now(), clean=True))

    async def _all_read(self) -> None:
        """Waits until what the dead process had sent has reached the clients: the server has seen the end of its stream,
        and every client has an answer that was sent after that."""
        while True:
            with contextlib.suppress(AssertionError):
                answer = await self.speakers[0].client.request(DOMAIN, tag("ping", xmlns=PING), timeout=1.0)
                if answer.type == "error":
                    break
        await self._served()

    async def _served(self) -> None:
        """Waits until every client has read all that its server has answered so far."""
        await asyncio.gather(*(s.client.barrier(s.client.account.host) for s in self.speakers))

    async def _silent(self) -> None:
        """Waits until nothing is on its way any more, without asking coven anything."""
        up = self.crashes[-1].up

        def last() -> int:
            return max(up, *(s.witness.heard[-1].at for s in self.speakers if s.witness.heard))

        async with asyncio.timeout(120):
            while now() - last() < SILENCE:
                await asyncio.sleep(0.1)

    def _barriers(self) -> list[Barrier]:
        lines = self._trace.read_text().splitlines() if self._trace.exists() else []
        found = []
        for line in lines:
            with contextlib.suppress(ValueError, KeyError):
                record = json.loads(line)
                found.append(Barrier(record["sent"], record["answered"]))
        return found[-200:]

    async def faults(self, nobody_asked: bool) -> list[str]:
        """What is broken by now. `nobody_asked`: since coven is back nobody has sent anything, and still everything has
        come."""
        asked = now()
        pings = await asyncio.gather(*(s.occupant.self_ping() for s in self.speakers))
        faults = [f"{s.occupant.nick}: self-ping says {a}" for s, a in zip(self.speakers, pings) if a.type != "result"]
        results = await read_whole_archive(self.speakers[0].client, ROOM)
        self._archive = [(r.get("mam:result", "id") or "", r.text(FORWARDED_BODY) or "") for r in results]
        ids, up = {id_ for id_, _ in self._archive}, self.crashes[-1].up
        await asyncio.gather(*(s.heard_all(ids, up) for s in self.speakers))
        faults += check(self._archive, [s.witness for s in self.speakers], self.crashes)
        for speaker in self.speakers:
            if len(speaker.quiet) != len(set(speaker.quiet)) or len(set(speaker.quiet)) > 1:
                faults.append(f"{speaker.occupant.nick}: repeated in the quiet room: {speaker.quiet}")
            if nobody_asked:
                late = [h.id for h in speaker.witness.heard if h.at > asked]
                faults += [f"{speaker.occupant.nick}: came only when somebody asked: {id_}" for id_ in late]
        return faults

    def tally(self) -> str:
        """What was no fault of coven's, in words."""
        counted = tally(self._archive, [s.witness for s in self.speakers], self.crashes)
        reads = sum(len(s.witness.reads) for s in self.speakers)
        return f"{len(self.crashes)} ends, {len(self._archive)} messages to {PEOPLE}, {reads} reads: {counted}"

    async def quiet_for_a_minute(self) -> None:
        """Waits until the quiet room has been so for a minute: the crash that follows repeats nothing there."""
        await asyncio.sleep(max(0, self.quiet_since + MINUTE - now()) / 1000)


FORWARDED_BODY = "mam:result/forward:forwarded/client:message/client:body"


def unix_ms(timestamp: str) -> int:
    """Of a log line."""
    return int(datetime.datetime.fromisoformat(timestamp).timestamp() * 1000)


@pytest.fixture
async def crowd(own_server: Callable[..., Any], start_coven: StartCoven) -> Crowd:
    binary = os.environ.get("COVEN_FAILPOINT_BIN")
    if not binary:
        pytest.skip("COVEN_FAILPOINT_BIN names no binary with the feature fail-points")
    prosody = await own_server(Prosody)
    config = Config.for_server(prosody)
    config.more["node"] = {"idle-timeout": "1s"}
    coven = await start_coven(config, ready=False)
    await coven.stop()
    coven.binary = pathlib.Path(binary)
    crowd = Crowd(prosody, coven)
    await coven.start()
    await crowd.gather()
    return crowd


@pytest.fixture
def seed() -> int:
    """Of the random moments: a failure names it, and `COVEN_SEED` repeats them."""
    seed = int(os.environ.get("COVEN_SEED") or time.time_ns())
    print(f"the moments are those of COVEN_SEED={seed}")
    random.seed(seed)
    return seed


@pytest.mark.timeout(900)
async def test_muc_leave_13_muc_ping_01_crashes_at_random_moments_lose_nobody_and_nothing(
    crowd: Crowd, seed: int, report: Report
) -> None:
    """Kill at random moments under load, room going quiet after every second one."""
    for n in range(RANDOM_CRASHES):
        talk_on = n % 2 == 0
        if n == RANDOM_CRASHES - 1:
            await crowd.quiet_for_a_minute()
        await crowd.crash(None, random.uniform(0.2, 2.5), talk_on)
        last = crowd.crashes[-1]
        faults = await crowd.faults(nobody_asked=not talk_on)
        assert faults == [], f"after crash {n + 1}: {last.at} to {last.back}, COVEN_SEED={seed}"
    report(crowd.tally())


@pytest.mark.timeout(900)
async def test_muc_mam_06_muc_comp_12_fail_points_lose_nobody_and_nothing(crowd: Crowd, report: Report) -> None:
    """The process ends at each named place once, with load on it."""
    assert {point.partition(":")[0] for point in FAIL_POINTS} == named_in_the_source()
    crowd.coven.env["COVEN_FAILPOINT_LOG_LIMIT"] = str(LOG_LIMIT)
    for n, point in enumerate(FAIL_POINTS):
        talk_on = n % 2 == 0
        crowd.coven.env["COVEN_FAILPOINT"] = point
        await crowd.restart()
        await crowd.crash(point, 0, talk_on)
        assert await crowd.faults(nobody_asked=not talk_on) == [], f"after {point}"
    report(crowd.tally())


@pytest.mark.timeout(600)
async def test_muc_leave_13_sigterm_under_load_makes_no_error_and_repeats_nothing(
    crowd: Crowd, seed: int, report: Report
) -> None:
    """Words and reads that come too late are the server's to answer, or lie in the stream: counted apart."""
    for n in range(TERMINATIONS):
        talk_on = n % 2 == 0
        await crowd.terminate(random.uniform(0.2, 1.0), talk_on)
        faults = await crowd.faults(nobody_asked=not talk_on)
        assert faults == [], f"after SIGTERM {n + 1}, COVEN_SEED={seed}"
    report(crowd.tally())


def named_in_the_source() -> set[str]:
    """The names of all fail points that a process with SQLite can pass: where they are passed, or in `fail.rs` where
    that does more than end the process."""
    found: set[str] = set()
    for source in (pathlib.Path(__file__).resolve().parents[2] / "crates").glob("*/src/**/*.rs"):
        if "redis" in source.parts:
            continue
        found |= set(re.findall(r'fail::point\("([a-z-]+)"\)', source.read_text()))
        if source.name == "fail.rs":
            found |= set(re.findall(r'const NAME: &str = "([a-z-]+)"', source.read_text()))
    return found
