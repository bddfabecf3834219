"""What a MUC client does, in raw stanzas. Every helper returns what was read, so that stories can look closer."""

from __future__ import annotations

import dataclasses

from .client import DEADLINE, Client
from .stanza import DATA, MAM, MUC, MUC_OWNER, RSM, Stanza, form, tag, text


@dataclasses.dataclass
class Joined:
    """What a join brought, in order (XEP-0045 §7.1): others, self-presence, history, subject."""

    others: list[Stanza]
    self_presence: Stanza
    history: list[Stanza]
    subject: Stanza


class Occupant:
    """A client in a room. Methods send; what comes back is in the client's inbox."""

    def __init__(self, client: Client, room: str, nick: str) -> None:
        self.client = client
        self.room = room
        self.nick = nick

    @property
    def jid(self) -> str:
        """The occupant JID."""
        return f"{self.room}/{self.nick}"

    async def join(self, history: str = "", inside: str = "") -> Joined:
        """Joins and takes all that belongs to the join. `history`: attributes, such as "maxstanzas='3'"."""
        await self.send_join(history, inside)
        taken: list[Stanza] = []
        while not (taken and is_subject(taken[-1])):
            taken.append(await self.client.expect(self.from_room, what=f"the rest of the join of {self.jid}"))
            if taken[-1].type == "error":
                raise AssertionError(f"join refused: {taken[-1]}")
        at = next(i for i, s in enumerate(taken) if s.kind == "presence" and 110 in s.codes)
        return Joined(taken[:at], taken[at], taken[at + 1 : -1], taken[-1])

    async def send_join(self, history: str = "", inside: str = "") -> None:
        """Only sends the join."""
        asked = f"<history {history}/>" if history else ""
        await self.client.send(tag("presence", tag("x", asked + inside, xmlns=MUC), to=self.jid))

    async def create(self) -> Joined:
        """Joins a new room and unlocks it with its defaults (XEP-0045 §10.1.2)."""
        joined = await self.join()
        answer = await self.client.request(
            self.room, tag("query", f"<x xmlns='{DATA}' type='submit'/>", xmlns=MUC_OWNER), "set"
        )
        assert answer.type == "result", answer
        return joined

    def from_room(self, stanza: Stanza) -> bool:
        """Whether a stanza comes from this room or one of its occupants."""
        return stanza.sender.partition("/")[0] == self.room

    async def say(self, body: str, id_: str | None = None, extra: str = "") -> str:
        """Sends a groupchat message; returns its id."""
        id_ = id_ or self.client.next_id()
        await self.client.send(tag("message", text("body", body) + extra, to=self.room, type_="groupchat", id_=id_))
        return id_

    async def hears(self, body: str, timeout: float = DEADLINE) -> Stanza:
        """Takes the live groupchat message with this body."""
        return await self.client.expect(
            lambda s: self.from_room(s) and s.kind == "message" and s.body == body, timeout, f"message {body!r}"
        )

    async def sees(self, nick: str, type_: str | None = None, timeout: float = DEADLINE) -> Stanza:
        """Takes the next presence of this occupant: available, or of the type."""
        return await self.client.expect(
            lambda s: s.kind == "presence" and s.sender == f"{self.room}/{nick}" and s.type == type_,
            timeout,
            f"presence {type_ or 'available'} of {nick}",
        )

    async def change_nick(self, nick: str) -> tuple[Stanza, Stanza]:
        """Changes the nick; returns the own presences under the old and the new one."""
        old = self.nick
        await self.client.send(tag("presence", to=f"{self.room}/{nick}"))
        left = await self.sees(old, "unavailable")
        self.nick = nick
        return left, await self.sees(nick)

    async def leave(self) -> Stanza:
        """Leaves; returns the own presence."""
        await self.client.send(tag("presence", to=self.jid, type_="unavailable"))
        return await self.sees(self.nick, "unavailable")

    async def self_ping(self) -> Stanza:
        """The answer to a ping to the own occupant JID (XEP-0410)."""
        return await self.client.barrier(self.jid)

    async def settled(self) -> list[Stanza]:
        """Takes all that the room has sent to us up to now."""
        await self.client.barrier(self.room)
        return self.client.inbox.take_all(self.from_room)


async def read_archive(
    client: Client, room: str, rsm: str = "<max>50</max>", **fields: str
) -> tuple[list[Stanza], Stanza]:
    """One page of a room's archive (XEP-0313): the result messages, and the answer to the IQ."""
    query_id = client.next_id()
    inside = (form(MAM, fields) if fields else "") + tag("set", rsm, xmlns=RSM)
    answer = await client.request(room, tag("query", inside, xmlns=MAM, queryid=query_id), "set")
    results = client.inbox.take_all(lambda s: s.get("mam:result", "queryid") == query_id)
    return results, answer


async def read_whole_archive(client: Client, room: str, **fields: str) -> list[Stanza]:
    """The results of all pages, in order."""
    every: list[Stanza] = []
    after = ""
    while True:
        results, answer = await read_archive(client, room, tag("max", "100") + after, **fields)
        assert answer.type == "result", answer
        every += results
        if answer.get("mam:fin", "complete") == "true" or not results:
            return every
        after = text("after", every[-1].get("mam:result", "id") or "")


def is_subject(stanza: Stanza) -> bool:
    """Whether this is a subject message (XEP-0045 §8.1)."""
    return stanza.kind == "message" and stanza.has("client:subject") and not stanza.has("client:body")
