"""MIX clients: slixmpp through its server's MIX-PAM, and raw stanzas where answers are ones that slixmpp cannot parse."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import Callable
from typing import Any

from .client import DEADLINE, Account, Client
from .coven import Domain
from .process import eventually
from .slix import SlixClient
from .stanza import DISCO_INFO, MAM, MIX, PREFIXES, RSM, Stanza, tag, text

PAM = "urn:xmpp:mix:pam:2"
PRESENCE = "urn:xmpp:mix:presence:0"
PUBSUB = "http://jabber.org/protocol/pubsub"
EVENT = "http://jabber.org/protocol/pubsub#event"
NODES = tuple(f"urn:xmpp:mix:nodes:{name}" for name in ("messages", "participants", "info", "presence"))
MESSAGES, PARTICIPANTS, INFO, PRESENCES = NODES
PREFIXES |= {"pam": PAM, "shared": PRESENCE, "event": EVENT, "pubsub": PUBSUB}


@dataclasses.dataclass(frozen=True)
class Layout:
    """Where the two views of the channel `name` are."""

    muc_domain: str
    mix_domain: str

    @property
    def domains(self) -> list[Domain]:
        """The `[[domain]]`s."""
        if self.muc_domain == self.mix_domain:
            return [Domain(self.muc_domain)]
        return [
            Domain(self.muc_domain, ["muc"], more={"mirror": self.mix_domain}),
            Domain(self.mix_domain, ["mix"], more={"mirror": self.muc_domain}),
        ]

    def room(self, name: str) -> str:
        return f"{name}@{self.muc_domain}"

    def channel(self, name: str) -> str:
        return f"{name}@{self.mix_domain}"


@dataclasses.dataclass(frozen=True)
class Heard:
    """A channel's message as a MIX client has it, live or from the archive."""

    #: The archive id.
    id: str
    #: The participant, `channel/stable id`.
    speaker: str
    nick: str
    body: str


#: What the participants node told: (stable id, nick), and (stable id, None) when somebody left.
Event = tuple[str, str | None]

#: Both views on one domain, and on two that mirror each other (XEP-0408 §2).
ONE = Layout("chat.localhost", "chat.localhost")
PAIR = Layout("chat.localhost", "mix.localhost")


class SlixParticipant:
    """A slixmpp client that joins a channel through its server. Lists hold what the library made of our stanzas."""

    def __init__(self, client: SlixClient, channel: str) -> None:
        self.client = client
        self.channel = channel
        self.messages: list[Any] = []
        self.presences: list[Any] = []
        self._people: list[Event] = []
        xmpp = client.xmpp
        xmpp.add_event_handler("mix_message", self.messages.append)
        xmpp.add_event_handler("mix_presence", self.presences.append)
        xmpp.add_event_handler("mix_participant_info_publish", self._published)
        xmpp.add_event_handler("mix_participant_info_retract", self._retracted)

    @classmethod
    async def connect(cls, account: Account, channel: str, resource: str = "mix") -> SlixParticipant:
        """Logs in; the server learns that this client speaks MIX."""
        return cls(await SlixClient.connect(account, resource), channel)

    # The library calls these for one item at a time while it iterates over the element, whose iterator is the element
    # itself: to iterate here as well would begin its loop anew, for ever.
    def _published(self, message: Any) -> None:
        (item,) = message["pubsub_event"]["items"].iterables
        self._people.append((item["id"], item["mix_participant"]["nick"]))

    def _retracted(self, message: Any) -> None:
        (item,) = message["pubsub_event"]["items"].iterables
        self._people.append((item["id"], None))

    async def join(self, nick: str) -> None:
        """Joins, for all nodes."""
        pam = self.client.xmpp.plugin["xep_0405"]
        refused = await pam.join_channel(self.channel, nick, set(NODES), timeout=DEADLINE)
        assert not refused, refused

    async def leave(self) -> None:
        await self.client.xmpp.plugin["xep_0405"].leave_channel(self.channel, timeout=DEADLINE)

    async def set_nick(self, nick: str) -> str:
        return await self.client.xmpp.plugin["xep_0369"].set_nick(self.channel, nick, timeout=DEADLINE)

    async def participants(self) -> dict[str, str]:
        """Who takes part: nick of each id."""
        listed = await self.client.xmpp.plugin["xep_0369"].list_participants(self.channel, timeout=DEADLINE)
        return {id_: nick for id_, nick, _ in listed}

    async def archive(self) -> list[Heard]:
        """All messages, in order."""
        mam = self.client.xmpp.plugin["xep_0313"]
        answer = await mam.retrieve(jid=self.channel, timeout=DEADLINE)
        results = [result["mam_result"] for result in answer["mam"]["results"]]
        return [_heard(result["id"], result["forwarded"]["stanza"]) for result in results]

    async def say(self, body: str) -> str:
        """Sends a message to the channel; returns its id."""
        message = self.client.xmpp.make_message(self.channel, body, mtype="groupchat")
        message["id"] = self.client.xmpp.new_id()
        message.send()
        return str(message["id"])

    async def hears(self, body: str) -> Heard:
        """The channel's message with this body; it came once."""
        await eventually(lambda: bool(self._with(body)), DEADLINE, lambda: f"no {body!r} among {self.messages}")
        (message,) = self._with(body)
        return _heard(message["id"], message)

    def every(self) -> list[Heard]:
        """Every message of the channel so far, in the order of arrival."""
        return [_heard(m["id"], m) for m in self.messages if m["body"]]

    def _with(self, body: str) -> list[Any]:
        return [m for m in self.messages if m["body"] == body]

    def events(self) -> list[Event]:
        """What was told of participants so far, in order."""
        return list(self._people)

    async def told(self, event: Event) -> None:
        """Waits until this was told of a participant."""
        await eventually(lambda: event in self._people, DEADLINE, lambda: f"no {event} among {self._people}")

    async def sees(self, id_: str, available: bool = True) -> tuple[str, str]:
        """Takes the next presence of a client of the participant; its (resource, nick)."""

        def found() -> Any:
            mine = (p for p in self.presences if p["from"].full.startswith(f"{id_}#{self.channel}/"))
            return next((p for p in mine if (p["type"] != "unavailable") == available), None)

        what = f"{id_} {'available' if available else 'unavailable'}"
        await eventually(lambda: found() is not None, DEADLINE, lambda: f"no {what} among {self.presences}")
        presence = found()
        self.presences.remove(presence)
        return presence["from"].resource, presence["mix"]["nick"]

    def listen(self, listener: Callable[[Stanza], None]) -> None:
        """From now on `listener` is called with each stanza as it arrives."""

        def pass_on(stanza: Any) -> Any:
            listener(Stanza(stanza.xml))
            return stanza

        self.client.xmpp.add_filter("in", pass_on)

    async def settled(self, to: str | None = None) -> None:
        """Returns when all that the channel (or `to`) has sent to this client up to now has arrived."""
        await self.client.xmpp.plugin["xep_0199"].send_ping(to or self.channel, timeout=DEADLINE)

    def raw(self) -> str:
        """All that was ever read."""
        return self.client.xmpp.raw.decode()

    async def close(self) -> None:
        await self.client.close()


def _heard(id_: str, message: Any) -> Heard:
    return Heard(id_, message["from"].full, message["mix"]["nick"], message["body"])


class RawParticipant(Client):
    """A MIX client that reads and writes stanzas itself, and tells its server by disco#info that it speaks MIX."""

    channel: str = ""
    _answering: asyncio.Task[None] | None = None

    @classmethod
    async def come(cls, account: Account, channel: str, resource: str = "mix") -> RawParticipant:
        """Logs in and becomes available."""
        client = await cls.connect(account, resource)
        assert isinstance(client, cls)
        client.channel = channel
        client._answering = asyncio.create_task(client._answer())
        await client.send("<presence/>")
        return client

    async def _answer(self) -> None:
        features = "".join(tag("feature", var=f) for f in (DISCO_INFO, MIX))
        while True:
            asked = await self.expect(lambda s: s.type == "get" and s.has("info:query"), timeout=3600.0)
            query = tag("query", features, xmlns=DISCO_INFO, node=asked.get("info:query", "node"))
            await self.send(tag("iq", query, type_="result", id_=asked.id, to=asked.sender or None))

    async def join(self, nick: str) -> None:
        """Joins, for all nodes. The server may wrap the answer in any namespace."""
        nodes = "".join(tag("subscribe", node=node) for node in NODES)
        join = tag("join", nodes + text("nick", nick), xmlns=MIX)
        answer = await self.request(self.bare, tag("client-join", join, xmlns=PAM, channel=self.channel), "set")
        assert answer.type == "result", answer
        joined = [e for e in answer.element.iter(f"{{{MIX}}}join")]
        assert len(joined) == 1, answer
        assert {s.get("node") for s in joined[0].findall("mix:subscribe", PREFIXES)} == set(NODES), answer

    async def leave(self) -> None:
        """Asks its server to leave, which need not answer (MIX-PAMS-10)."""
        leave = tag("client-leave", tag("leave", xmlns=MIX), xmlns=PAM, channel=self.channel)
        await self.send(tag("iq", leave, to=self.bare, type_="set", id_=self.next_id()))

    async def set_nick(self, nick: str) -> str:
        answer = await self.request(self.channel, tag("setnick", text("nick", nick), xmlns=MIX), "set")
        return answer.text("mix:setnick/mix:nick") or str(answer)

    async def participants(self) -> dict[str, str]:
        """Who takes part: nick of each id."""
        answer = await self.request(self.channel, tag("pubsub", tag("items", node=PARTICIPANTS), xmlns=PUBSUB))
        items = answer.all("pubsub:pubsub/pubsub:items/pubsub:item")
        return {i.get("id", ""): i.findtext("mix:participant/mix:nick", "", PREFIXES) for i in items}

    async def archive(self) -> list[Heard]:
        """All messages, in order."""
        query_id = self.next_id()
        query = tag("query", tag("set", text("max", "100"), xmlns=RSM), xmlns=MAM, queryid=query_id, node=MESSAGES)
        answer = await self.request(self.channel, query, "set")
        assert answer.type == "result", answer
        results = self.inbox.take_all(lambda s: s.get("mam:result", "queryid") == query_id)
        kept = [(s.get("mam:result", "id") or "", s.forwarded()) for s in results]
        return [_of_stanza(id_, message) for id_, message in kept if message is not None]

    async def say(self, body: str) -> str:
        """Sends a message to the channel; returns its id."""
        id_ = self.next_id()
        await self.send(tag("message", text("body", body), to=self.channel, type_="groupchat", id_=id_))
        return id_

    async def hears(self, body: str) -> Heard:
        """Takes the channel's message with this body."""
        heard = await self.expect(lambda s: s.has("mix:mix") and s.body == body, what=f"MIX message {body!r}")
        return _of_stanza(heard.id or "", heard)

    def every(self) -> list[Heard]:
        """Every message of the channel so far, in the order of arrival."""
        return [_of_stanza(s.id or "", s) for s in self.inbox.history if s.has("mix:mix") and s.body]

    def events(self) -> list[Event]:
        """What was told of participants so far, in order."""
        items = [i for s in self.inbox.history for i in s.all(f"event:event/event:items[@node='{PARTICIPANTS}']/*")]
        nicks = [i.findtext("mix:participant/mix:nick", None, PREFIXES) for i in items]
        return [(i.get("id", ""), nick) for i, nick in zip(items, nicks, strict=True)]

    async def told(self, event: Event) -> None:
        """Waits until this was told of a participant."""
        await eventually(lambda: event in self.events(), DEADLINE, lambda: f"no {event} among {self.events()}")

    async def sees(self, id_: str, available: bool = True) -> tuple[str, str]:
        """Takes the next presence of a client of the participant; its (resource, nick)."""
        type_ = None if available else "unavailable"
        presence = await self.expect(
            lambda s: s.kind == "presence" and s.type == type_ and s.sender.startswith(f"{id_}#{self.channel}/"),
            what=f"presence {type_ or 'available'} of {id_}",
        )
        return presence.nick, presence.text("shared:mix/shared:nick") or ""

    def listen(self, listener: Callable[[Stanza], None]) -> None:
        """From now on `listener` is called with each stanza as it arrives."""
        self.inbox.listen(listener)

    async def settled(self, to: str | None = None) -> None:
        """Returns when all that the channel (or `to`) has sent to this client up to now has arrived."""
        await self.barrier(to or self.channel)

    def raw(self) -> str:
        """All that was ever read."""
        return "".join(map(str, self.inbox.history))

    async def cut(self) -> None:
        if self._answering is not None:
            self._answering.cancel()
            with contextlib.suppress(asyncio.CancelledError, AssertionError):
                await self._answering
            self._answering = None
        await super().cut()


def _of_stanza(id_: str, message: Stanza) -> Heard:
    return Heard(id_, message.sender, message.text("mix:mix/mix:nick") or "", message.body or "")
