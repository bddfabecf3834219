"""One channel with MUC clients and a MIX client in it: a story that must be the same on every server and layout."""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable
from typing import Protocol

from .client import Client
from .coven import Coven
from .mix import Event, Heard, Layout, RawParticipant, SlixParticipant
from .muc import Occupant, read_archive
from .server import XmppServer
from .stanza import Stanza


class Participant(Protocol):
    """What a MIX client does, whoever wrote it."""

    channel: str

    async def join(self, nick: str) -> None: ...
    async def leave(self) -> None: ...
    async def set_nick(self, nick: str) -> str: ...
    async def participants(self) -> dict[str, str]: ...
    async def archive(self) -> list[Heard]: ...
    async def say(self, body: str) -> str: ...
    async def hears(self, body: str) -> Heard: ...
    async def told(self, event: Event) -> None: ...
    async def sees(self, id_: str, available: bool = True) -> tuple[str, str]: ...
    async def settled(self, to: str | None = None) -> None: ...
    def events(self) -> list[Event]: ...
    def every(self) -> list[Heard]: ...
    def raw(self) -> str: ...


@dataclasses.dataclass
class Setting:
    """A server with MIX-PAM, a coven behind it, and the clients that are online."""

    server: XmppServer
    layout: Layout
    coven: Coven
    online: list[Client | SlixParticipant] = dataclasses.field(default_factory=list)

    async def sessions(self, user: str) -> list[Client]:
        """Two clients of a user that speak MUC."""
        found = [await self.server.login(user, resource) for resource in ("desk", "pocket")]
        self.online += found
        return found

    async def slix(self, user: str, channel: str, resource: str = "mix") -> SlixParticipant:
        """A MIX client by slixmpp."""
        account = await self.server.account(user)
        client = await SlixParticipant.connect(account, self.layout.channel(channel), resource)
        self.online.append(client)
        return client

    async def raw(self, user: str, channel: str, resource: str = "mix") -> RawParticipant:
        """A MIX client of raw stanzas."""
        account = await self.server.account(user)
        client = await RawParticipant.come(account, self.layout.channel(channel), resource)
        self.online.append(client)
        return client

    async def close(self) -> None:
        """Logs everybody out."""
        for client in self.online:
            await client.close()


#: The fixture `setting`.
MakeSetting = Callable[..., Awaitable[Setting]]


class Everybody:
    """Alice and Bob, with two MUC sessions each, and Carol with a MIX client, in the channel `name`."""

    def __init__(self, layout: Layout, name: str, alice: list[Client], bob: list[Client], carol: Participant) -> None:
        room = layout.room(name)
        self.layout = layout
        self.alice = [Occupant(client, room, "Alice") for client in alice]
        self.bob = [Occupant(client, room, "Bob") for client in bob]
        self.carol = carol
        #: Stable ids by the first nick, which are the occupant-ids of MUC (MAP-09).
        self.ids: dict[str, str] = {}

    @property
    def occupants(self) -> list[Occupant]:
        return self.alice + self.bob

    async def play(self) -> None:
        """The whole story."""
        await self.enter()
        await self.talk()
        await self.rename()
        await self.read()
        await self.part()
        self.look_back()

    async def enter(self) -> None:
        """Alice is there, Carol joins by MIX, then Bob by MUC: each side sees the other come."""
        await self.alice[0].create()
        await self.alice[1].join()
        await self.carol.join("Carol")
        # covers: MAP-72
        for occupant in self.alice:
            came = await occupant.sees("Carol")
            assert (came.affiliation, came.role) == ("none", "participant")
            self._note("Carol", came)
        await self.carol.told((self.ids["Carol"], "Carol"))
        # covers: MAP-12, MIX-JOIN-18
        listed = {nick: id_ for id_, nick in (await self.carol.participants()).items()}
        assert listed == {"Alice": listed["Alice"], "Carol": self.ids["Carol"]}
        self.ids["Alice"] = listed["Alice"]
        await self._sees_two_clients("Alice")
        for occupant in self.bob:
            joined = await occupant.join()
            for presence in joined.others:
                self._note(presence.nick, presence)
            self._note("Bob", joined.self_presence)
            assert {p.nick for p in joined.others} == {"Alice", "Carol"}
        # covers: MAP-75, MAP-76
        for occupant in self.alice:
            self._note("Bob", await occupant.sees("Bob"))
        await self.carol.told((self.ids["Bob"], "Bob"))
        await self._sees_two_clients("Bob")

    def _note(self, name: str, presence: Stanza) -> None:
        assert presence.occupant_id is not None
        assert self.ids.setdefault(name, presence.occupant_id) == presence.occupant_id

    async def _sees_two_clients(self, name: str, nick: str | None = None) -> None:
        """A MIX client sees each session of a MUC user."""
        (one, one_nick), (two, two_nick) = [await self.carol.sees(self.ids[name]) for _ in range(2)]
        assert one != two and {one_nick, two_nick} == {nick or name}

    async def talk(self) -> None:
        """Each says something; everybody has it in the form of its protocol, under one archive id."""
        for speaker in (self.alice[0], self.bob[1]):
            body = f"{speaker.nick} speaks"
            await self._heard(speaker.nick, body, await speaker.say(body))
        await self._heard("Carol", "Carol speaks", await self.carol.say("Carol speaks"))

    async def _heard(self, nick: str, body: str, own_id: str) -> None:
        # covers: MAP-09, MAP-26
        heard = await self.carol.hears(body)
        assert heard == Heard(heard.id, f"{self.carol.channel}/{self.ids[nick]}", nick, body)
        assert heard.id != own_id
        for occupant in self.occupants:
            message = await occupant.hears(body)
            assert message.sender == f"{occupant.room}/{nick}"
            assert (message.id, message.stanza_id, message.occupant_id) == (own_id, heard.id, self.ids[nick])
            assert not message.has("mix:mix")

    async def rename(self) -> None:
        """A nick changes on either side; the other side sees it."""
        # covers: MAP-78, MIX-NICK-08
        await self.bob[0].change_nick("Robert")
        await self.carol.told((self.ids["Bob"], "Robert"))
        await self._sees_two_clients("Bob", "Robert")
        for occupant in [*self.alice, self.bob[1]]:
            await self._renamed(occupant, "Bob", "Robert")
        self.bob[1].nick = "Robert"
        assert await self.carol.set_nick("Caroline") == "Caroline"
        for occupant in self.occupants:
            presence = await self._renamed(occupant, "Carol", "Caroline")
            assert presence.occupant_id == self.ids["Carol"]
        await self.carol.told((self.ids["Carol"], "Caroline"))

    async def _renamed(self, occupant: Occupant, old: str, new: str) -> Stanza:
        left = await occupant.sees(old, "unavailable")
        assert 303 in left.codes and left.get("user:x/user:item", "nick") == new
        return await occupant.sees(new)

    async def read(self) -> None:
        """Each reads the same archive by MAM, in the form of its protocol, under the names of then."""
        # covers: MAP-84
        kept = await self.carol.archive()
        said = ["Alice", "Bob", "Carol"]
        assert [k.body for k in kept] == [f"{nick} speaks" for nick in said]
        # The very ids under which they were heard, and who had said it.
        assert kept == self.carol.every()
        for occupant in self.occupants:
            results, answer = await read_archive(occupant.client, occupant.room)
            assert answer.type == "result", answer
            seen = [(r.get("mam:result", "id"), r.forwarded()) for r in results]
            assert [(id_, m and m.body) for id_, m in seen] == [(k.id, k.body) for k in kept]
            assert [m and m.sender for _, m in seen] == [f"{occupant.room}/{nick}" for nick in said]

    async def part(self) -> None:
        """Bob leaves with each session, Carol by MIX; the others see each go, once. Bob is still listed: he may be back."""
        # covers: MAP-74, MAP-77
        await self.bob[0].leave()
        first, _ = await self.carol.sees(self.ids["Bob"], available=False)
        await self.bob[1].leave()
        second, _ = await self.carol.sees(self.ids["Bob"], available=False)
        assert first != second
        # covers: MAP-12
        assert sorted((await self.carol.participants()).values()) == ["Alice", "Caroline", "Robert"]
        await self.carol.leave()
        for occupant in self.alice:
            await occupant.sees("Robert", "unavailable")
            left = await occupant.sees("Caroline", "unavailable")
            assert left.role == "none" and 303 not in left.codes
            rest = await occupant.settled()
            assert not [s for s in rest if s.type == "unavailable"], rest
        # Who left hears no more.
        await self.alice[0].say("are you gone?")
        await self.alice[1].hears("are you gone?")
        await self.carol.settled()
        assert "are you gone?" not in self.carol.raw()

    def look_back(self) -> None:
        """Each change of participants was told once, in order; no address of the other view came along."""
        ids = self.ids
        told = [("Carol", "Carol"), ("Bob", "Bob"), ("Bob", "Robert"), ("Carol", "Caroline")]
        assert self.carol.events() == [(ids[name], nick) for name, nick in told]
        assert not [s for occupant in self.occupants for s in occupant.client.inbox.history if s.has("mix:mix")]
        # covers: MAP-81
        if self.layout.muc_domain == self.layout.mix_domain:
            return
        assert self.layout.muc_domain not in self.carol.raw()
        for occupant in self.occupants:
            read = "".join(map(str, occupant.client.inbox.history))
            assert self.layout.mix_domain not in read
