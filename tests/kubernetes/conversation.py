"""People who talk in one room while things happen to the pods, and what they write down for the history checker."""

from __future__ import annotations

import asyncio
import itertools
import time
from typing import Any

from harness.client import Client
from harness.history import Crash, Heard, Refused, Tally, Witness, check, tally
from harness.muc import Occupant, is_subject, read_whole_archive
from harness.prosody import Prosody
from harness.server import XmppServer
from harness.stanza import Stanza

BODY = "mam:result/forward:forwarded/client:message/client:body"
#: Between two messages of one person.
PACE = 0.25
#: So long after an operation was given to a node coven says that it may have happened (ms).
TIMEOUT = 30_000
#: What the checker says of copies that go back; it would have to know when each stream began.
OUT_OF_ORDER = "repeats out of order"


def now() -> int:
    """Unix time in ms."""
    return int(time.time() * 1000)


class Person:
    """One occupant: speaks, and writes down what comes."""

    def __init__(self, client: Client, room: str, nick: str) -> None:
        self.occupant = Occupant(client, room, nick)
        self.witness = Witness(nick)
        #: When each of its own messages was sent and came back.
        self.sent: dict[str, int] = {}
        self.back: dict[str, int] = {}
        #: What was answered that it may have happened, and when.
        self.unknown: dict[str, int] = {}
        self._count = 0
        client.inbox.listen(self._hear)

    def _hear(self, stanza: Stanza) -> None:
        if not self.occupant.from_room(stanza):
            return
        body = stanza.text("client:body")
        if stanza.kind == "presence":
            # 110 with unavailable, or an error to presence: no longer there.
            if stanza.type in ("unavailable", "error") and (stanza.type == "error" or 110 in stanza.codes):
                self.witness.thrown_out = True
        elif stanza.kind == "message" and stanza.type == "error":
            # The id of each message is its body.
            what, by_server = stanza.id or "", Prosody.says_nobody_is_attached(stanza)
            condition = (stanza.error or ("", ""))[0]
            if condition == "remote-server-timeout" and not by_server:
                self.unknown[what] = now()
                return
            self.witness.refused.add(what)
            self.witness.errors.append(Refused(what, now(), condition, by_server))
        elif stanza.kind == "message" and stanza.type == "groupchat" and body and not is_subject(stanza):
            self.witness.heard.append(Heard(stanza.stanza_id or "", body, now()))
            if body in self.sent:
                self.witness.reflected.add(body)
                self.back.setdefault(body, now())

    async def talk(self, until: asyncio.Event) -> None:
        while not until.is_set():
            self._count += 1
            body = f"{self.witness.name}-{self._count}"
            self.sent[body] = self.witness.said[body] = now()
            await self.occupant.say(body, id_=body)
            await asyncio.sleep(PACE)

    def pause(self, begin: int, end: int) -> int:
        """The longest time (ms) from the sending of a message within these until it, or a later one, was back."""
        longest = 0
        for body, sent in self.sent.items():
            if begin <= sent <= end:
                back = [b for other, b in self.back.items() if self.sent[other] >= sent]
                longest = max(longest, min(back, default=now()) - sent)
        return longest


class Conversation:
    """Three people in a room, from `begin` to `end`."""

    def __init__(self, server: XmppServer, room: str) -> None:
        self.server, self.room = server, room
        self.people: list[Person] = []
        self.crashes: list[Crash] = []
        #: From when to when something happened to pods, and how many streams were begun meanwhile.
        self.moves: list[tuple[int, int, int]] = []
        self._over = asyncio.Event()
        self._talking: list[asyncio.Task[Any]] = []

    async def begin(self) -> None:
        for name in ("alice", "bob", "carol"):
            client = await self.server.login(self.server.fresh_name(name))
            person = Person(client, self.room, name)
            if self.people:
                await person.occupant.join()
            else:
                await person.occupant.create()
            self.people.append(person)
        for person in self.people:
            await person.occupant.settled()
        self._talking = [asyncio.create_task(p.talk(self._over)) for p in self.people]

    async def goes_on(self, timeout: float = 180) -> None:
        """Everybody hears a message that was sent from now on."""
        begin, deadline = now(), time.monotonic() + timeout
        for person in self.people:
            while not any(person.sent[b] >= begin for b in person.back):
                if time.monotonic() > deadline:
                    raise AssertionError(f"{person.witness.name} hears nothing of its own within {timeout} s")
                await asyncio.sleep(0.05)

    def pause(self, begin: int, end: int) -> int:
        return max(p.pause(begin, end) for p in self.people)

    async def end(self) -> tuple[list[str], Tally, int]:
        """Stops; what is wrong, what was counted apart, and how many messages there were."""
        self._over.set()
        await asyncio.gather(*self._talking)
        for person in self.people:
            await person.occupant.settled()
            answer = await person.occupant.self_ping()
            if answer.type != "result":
                person.witness.thrown_out = True
        results = await read_whole_archive(self.people[0].occupant.client, self.room)
        entries = ((r.get("mam:result", "id"), r.text(BODY)) for r in results)
        archive = [(id_, body) for id_, body in entries if id_ and body]
        faults = [fault for person in self.people for fault in self._unknown(person, {body for _, body in archive})]
        witnesses = [p.witness for p in self.people]
        faults += [f for f in check(archive, witnesses, self.crashes) if not f.endswith(OUT_OF_ORDER)]
        faults += [fault for witness in witnesses for fault in self._returns(witness)]
        return faults, tally(archive, witnesses, self.crashes), len(archive)

    def _unknown(self, person: Person, archived: set[str]) -> list[str]:
        """What may have happened, has or has not; but that is said only while something happens to pods."""
        for body in person.unknown.keys() - archived:
            del person.witness.said[body]
        during = [(begin, end + TIMEOUT) for begin, end, _ in self.moves]
        name, unknown = person.witness.name, person.unknown.items()
        return [f"{name}: unknown without a reason: {b}" for b, at in unknown if not any(x <= at <= y for x, y in during)]

    def _returns(self, witness: Witness) -> list[str]:
        """Copies come in the order of their first coming. Only a stream that begins goes back, and once; when exactly each
        of several began is not known here, so they are counted."""
        first: dict[str, int] = {}
        for n, copy in enumerate(witness.heard):
            first.setdefault(copy.id, n)
        steps = itertools.pairwise(witness.heard)
        back = [copy.at for before, copy in steps if first[copy.id] <= first[before.id]]
        faults = [f"{witness.name}: goes back at {at}" for at in back if not any(b <= at <= e for b, e, _ in self.moves)]
        for begin, end, streams in self.moves:
            times = sum(begin <= at <= end for at in back)
            if times > streams:
                faults.append(f"{witness.name}: goes back {times} times from {begin} to {end}, with {streams} streams begun")
        return faults
