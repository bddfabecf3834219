"""coven is killed while a MIX client is there: it misses nothing, and hears everything once (I2, I3, I6)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pathlib
import random
import time
from collections.abc import Awaitable, Callable

import pytest
from harness.both import MakeSetting, Setting
from harness.client import DEADLINE
from harness.coven import Coven
from harness.ejabberd import Ejabberd, EjabberdOptions
from harness.history import Barrier, Crash, Heard, Witness, check
from harness.mix import ONE, PAIR, Layout, RawParticipant, SlixParticipant
from harness.muc import Occupant, read_whole_archive
from harness.process import Process, eventually
from harness.prosody import Prosody, ProsodyOptions
from harness.server import ServerOptions, XmppServer
from harness.stanza import PING, Stanza, tag

FORWARDED_BODY = "mam:result/forward:forwarded/client:message/client:body"
RANDOM_CRASHES = 4
#: Where the process ends, and how often it passes there first. Nobody says a word afterwards.
FAIL_POINTS = ["node-after-decide:12", "node-after-commit:12", "front-mid-write:60", "front-after-write-before-ack:60"]


def now() -> int:
    return time.time_ns() // 1_000_000


class Voice:
    """One client that talks, and notes all that it hears; of MUC or of MIX."""

    def __init__(self, name: str, domain: str, say: Callable[[str], Awaitable[str]], coven: Coven) -> None:
        self.witness = Witness(name)
        self._coven = coven
        #: On whose stream coven writes to it.
        self.domain = domain
        self._say = say
        self._said: dict[str, str] = {}
        self._news = asyncio.Event()
        self._count = 0

    def note(self, stanza: Stanza) -> None:
        """Takes what the client has read."""
        if stanza.type == "error" and stanza.id in self._said:
            self.witness.refused.add(self._said[stanza.id])
        elif stanza.kind == "message" and stanza.type == "groupchat" and stanza.body:
            id_ = stanza.id if stanza.has("mix:mix") else stanza.stanza_id
            self.witness.heard.append(Heard(id_ or "", stanza.body, now()))
            if stanza.body in self._said.values():
                self.witness.reflected.add(stanza.body)
        self._news.set()

    async def talk(self, stop: asyncio.Event) -> None:
        """Says something, waits for it to come back, and so on. What was said to a process that has ended may never come
        back."""
        while not stop.is_set():
            self._count += 1
            body = f"{self.witness.name} {self._count}"
            told = self._coven.process
            self._said[await self._say(body)] = body
            await self._answered(body, told)
            await asyncio.sleep(random.uniform(0, 0.03))

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

    async def until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self._news.clear()
            await self._news.wait()


class Company:
    """Alice and Bob with two MUC sessions each, Carol with a MIX client, and the coven that is killed."""

    def __init__(self, setting: Setting, binary: str) -> None:
        self.setting = setting
        self.coven = setting.coven
        self.coven.binary = pathlib.Path(binary)
        self._trace = self.coven.folder / "barriers.jsonl"
        self.coven.env["COVEN_BARRIER_TRACE"] = str(self._trace)
        self.crashes: list[tuple[int, list[tuple[str, Barrier]], int]] = []
        self.voices: list[Voice] = []
        self.muc: list[Occupant] = []
        self.carol: SlixParticipant | RawParticipant
        self._renames = 0

    async def gather(self) -> None:
        s, layout = self.setting, self.setting.layout
        for user, nick in (("alice", "Alice"), ("bob", "Bob")):
            for client in await s.sessions(user):
                occupant = Occupant(client, layout.room("coven"), nick)
                await (occupant.join() if self.muc else occupant.create())
                self.muc.append(occupant)
        is_slix = s.server.name == "prosody"
        self.carol = await (s.slix("carol", "coven") if is_slix else s.raw("carol", "coven"))
        await self.carol.join("Carol")
        for occupant in self.muc:
            voice = Voice(occupant.client.jid.replace("/", " "), layout.muc_domain, occupant.say, self.coven)
            occupant.client.inbox.listen(voice.note)
            self.voices.append(voice)
        self.voices.append(Voice("Carol", layout.mix_domain, self.carol.say, self.coven))
        self.carol.listen(self.voices[-1].note)

    async def crash(self, fail_point: str | None, talk_on: bool) -> None:
        """Everybody talks and Bob changes his nick; the process ends; it comes back. Then they talk on, or nobody says a
        word."""
        stop = asyncio.Event()
        talk = [asyncio.create_task(voice.talk(stop)) for voice in self.voices]
        talk.append(asyncio.create_task(self._rename(stop)))
        if fail_point is None:
            await asyncio.sleep(random.uniform(0.2, 2.5))
            ended = now()
            await self.coven.kill()
        else:
            ended = await self._ended()
        barriers = self._barriers()
        if not talk_on:
            stop.set()
            await asyncio.gather(*talk)
        await self._all_read()
        self.crashes.append((ended, barriers, now()))
        self.coven.env.pop("COVEN_FAILPOINT", None)
        await self.coven.start()
        if talk_on:
            await asyncio.sleep(0.3)
        stop.set()
        await asyncio.gather(*talk)

    async def begin_again(self, fail_point: str) -> None:
        """Stops coven in peace, and starts it so that it ends at this place."""
        await self.coven.terminate()
        self.crashes.append((now(), [], now()))
        self.coven.env["COVEN_FAILPOINT"] = fail_point
        await self.coven.start()

    async def come_back(self) -> None:
        """Waits until the process has ended, and starts it."""
        ended = await self._ended()
        self.crashes.append((ended, self._barriers(), now()))
        self.coven.env.pop("COVEN_FAILPOINT", None)
        await self.coven.start()

    async def _ended(self) -> int:
        """Waits until the process has ended by itself; the last moment (ms) at which it was seen to run."""
        assert self.coven.process is not None
        alive = now()
        async with asyncio.timeout(120.0):
            while self.coven.process.exit_code is None:
                alive = now()
                await asyncio.sleep(0.01)
        return alive

    async def _rename(self, stop: asyncio.Event) -> None:
        """Bob has a new nick, again and again."""
        alice, bob = self.muc[0], self.muc[2]
        while not stop.is_set():
            self._renames += 1
            await bob.client.send(tag("presence", to=f"{alice.room}/Bob{self._renames}"))
            await asyncio.sleep(random.uniform(0, 0.1))

    async def _all_read(self) -> None:
        """Waits until what the dead process had sent has been read: the server has seen the end of its streams, and every
        client has an answer that was sent after that."""
        reader = self.muc[0].client
        for domain in {self.setting.layout.muc_domain, self.setting.layout.mix_domain}:
            while True:
                with contextlib.suppress(AssertionError):
                    if (await reader.request(domain, tag("ping", xmlns=PING), timeout=1.0)).type == "error":
                        break
        await asyncio.gather(*(occupant.client.barrier(occupant.client.account.host) for occupant in self.muc))
        await self.carol.settled(reader.account.host)

    def _barriers(self) -> list[tuple[str, Barrier]]:
        """The answered ones, with the stream of each."""
        lines = self._trace.read_text().splitlines() if self._trace.exists() else []
        found = []
        for line in lines:
            with contextlib.suppress(ValueError, KeyError):
                record = json.loads(line)
                found.append((record["stream"], Barrier(record["sent"], record["answered"])))
        return found[-400:]

    async def faults(self) -> list[str]:
        """What is broken by now. The channel is asked last: that would wake it."""
        known = {heard.id for voice in self.voices for heard in voice.witness.heard}
        missing = await self._missing(known)
        faults = [f"{name} was not told by itself: {ids}" for name, ids in missing.items()]
        results = await read_whole_archive(self.muc[0].client, self.muc[0].room)
        archive = [(r.get("mam:result", "id") or "", r.text(FORWARDED_BODY) or "") for r in results]
        await self._missing({id_ for id_, _ in archive})
        for voice in self.voices:
            faults += check(archive, [voice.witness], self._crashes(voice.domain))
        copies = {(heard.id, heard.body) for voice in self.voices for heard in voice.witness.heard}
        faults += [f"another text under one id: {copy}" for copy in copies - set(archive)]
        with contextlib.suppress(TimeoutError):
            await eventually(self._nicks_agree, DEADLINE)
        if not self._nicks_agree():
            faults.append(f"Bob was, for MIX {self._nicks_of_mix()}, for MUC {self._nicks_of_muc()}")
        return faults

    async def _missing(self, ids: set[str]) -> dict[str, set[str]]:
        """What of these does not reach a client."""

        def missing() -> dict[str, set[str]]:
            left = {v.witness.name: ids - {heard.id for heard in v.witness.heard} for v in self.voices}
            return {name: ids for name, ids in left.items() if ids}

        with contextlib.suppress(TimeoutError):
            await eventually(lambda: not missing(), DEADLINE)
        return missing()

    async def go_on(self) -> None:
        """Nobody has to come back: Carol takes part as before."""
        assert "Carol" in (await self.carol.participants()).values()
        await self.carol.say("here I am")
        await self.carol.hears("here I am")
        for occupant in self.muc:
            message = await occupant.hears("here I am")
            assert message.sender == f"{occupant.room}/Carol"

    def _nicks_agree(self) -> bool:
        """Changes of a second are told to MIX together (MAP-12): of some only the last, in the order of MUC, to the end."""
        mix, muc = self._nicks_of_mix(), self._nicks_of_muc()
        return mix == [nick for nick in muc if nick in mix] and mix[-1:] == muc[-1:]

    def _nicks_of_mix(self) -> list[str]:
        """Bob's nicks as Carol was told them, each once."""
        told = (nick for _, nick in self.carol.events() if nick and nick.startswith("Bob"))
        return list(dict.fromkeys(told))

    def _nicks_of_muc(self) -> list[str]:
        """Bob's new nicks as Alice was told them, each once."""
        renamed = (s for s in self.muc[1].client.inbox.history if s.kind == "presence" and 303 in s.codes)
        return list(dict.fromkeys(s.get("user:x/user:item", "nick") or "" for s in renamed))

    def _crashes(self, domain: str) -> list[Crash]:
        """The crashes, with the barriers of this domain's stream."""
        return [
            Crash(at, tuple(barrier for stream, barrier in barriers if domain in stream), back)
            for at, barriers, back in self.crashes
        ]


async def company(setting: MakeSetting, server: type[XmppServer], options: ServerOptions, layout: Layout) -> Company:
    binary = os.environ.get("COVEN_FAILPOINT_BIN")
    if not binary:
        pytest.skip("COVEN_FAILPOINT_BIN names no binary with the feature fail-points")
    quirk = {"quirks": ["ejabberd-pam"], "hosts": ["localhost"]} if server is Ejabberd else {}
    s = await setting(server, options, layout, **quirk)
    await s.coven.stop()
    found = Company(s, binary)
    await found.coven.start()
    await found.gather()
    return found


SERVERS = {
    "prosody-one-domain": (Prosody, ProsodyOptions(mix_pam=True), ONE),
    "prosody-mirrored": (Prosody, ProsodyOptions(mix_pam=True), PAIR),
    "ejabberd-mirrored": (Ejabberd, EjabberdOptions(mix_pam=True, listeners="shared"), PAIR),
}


@pytest.mark.parametrize("where", SERVERS.values(), ids=SERVERS)
async def test_mix_msg_13_mix_msg_14_killed_process_loses_nothing_for_a_mix_client(
    setting: MakeSetting, where: tuple[type[XmppServer], ServerOptions, Layout]
) -> None:
    """Kill at random moments while everybody talks, the channel going quiet after every second one."""
    everybody = await company(setting, *where)
    for n in range(RANDOM_CRASHES):
        await everybody.crash(None, talk_on=n % 2 == 0)
        assert await everybody.faults() == [], f"after crash {n + 1} at {everybody.crashes[-1][0]}"
    await everybody.go_on()


@pytest.mark.parametrize("point", FAIL_POINTS)
async def test_mix_msg_13_fail_points_lose_nothing_for_a_mix_client(setting: MakeSetting, point: str) -> None:
    """The process ends at a named place while everybody talks, and nobody speaks any more."""
    everybody = await company(setting, Prosody, ProsodyOptions(mix_pam=True), PAIR)
    await everybody.begin_again(point)
    await everybody.crash(point, talk_on=False)
    assert await everybody.faults() == []
    assert len(everybody.voices[-1].witness.heard) > 0
    await everybody.go_on()


async def test_mix_msg_03_map_45_quiet_channel_brings_the_last_word_by_itself(setting: MakeSetting) -> None:
    """What was committed and not sent arrives after the restart, though nobody asks for anything: a message, a nick."""
    everybody = await company(setting, Prosody, ProsodyOptions(mix_pam=True), PAIR)
    alice, bob, carol = everybody.muc[0], everybody.muc[2], everybody.carol
    id_ = next(id_ for id_, nick in (await carol.participants()).items() if nick == "Bob")
    await everybody.begin_again("node-after-commit:1")
    await alice.say("the last word")
    await everybody.come_back()
    heard = await carol.hears("the last word")
    for occupant in everybody.muc:
        assert (await occupant.hears("the last word")).stanza_id == heard.id
    await everybody.begin_again("node-after-commit:1")
    await bob.client.send(tag("presence", to=f"{bob.room}/Bobby"))
    await everybody.come_back()
    await carol.told((id_, "Bobby"))
    await alice.sees("Bobby")
    assert await everybody.faults() == []
