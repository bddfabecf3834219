"""Who takes part in the tests of mod_mix_pam: clients that speak MIX or do not, and a MIX service in a few lines.

Owns no rule: a `MixService` answers only what a test makes it answer. The streams are those of `harness`.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import itertools
from collections.abc import Iterable

from harness.client import Account, Client
from harness.component import Component
from harness.stanza import DISCO_INFO, MIX, PING, PREFIXES, Stanza, form, tag, text

PAM = "urn:xmpp:mix:pam:2"
ANON = "urn:xmpp:mix:anon:0"
ANNOTATE = "urn:xmpp:mix:roster:0"
ROSTER = "jabber:iq:roster"
EVENT = "http://jabber.org/protocol/pubsub#event"
CAPS = "http://jabber.org/protocol/caps"
NODES = "urn:xmpp:mix:nodes:"
PREFIXES |= {"pam": PAM, "anon": ANON, "annotate": ANNOTATE, "roster": ROSTER, "event": EVENT, "caps": CAPS}

_IDS = itertools.count(1)


def fresh_id() -> str:
    """An id that no other stanza of this run has."""
    return f"id{next(_IDS)}"


def caps_hash(features: Iterable[str]) -> str:
    """The `ver` of a client with one fixed identity and these features (XEP-0115 §5.1)."""
    basis = "client/pc//<" + "".join(f"{f}<" for f in sorted(features))
    return base64.b64encode(hashlib.sha1(basis.encode()).digest()).decode()


async def _nothing() -> None:
    """Stands for a step that is left out."""


class Person(Client):
    """A client that answers disco#info by itself. Which features it has decides whether it speaks MIX."""

    features: tuple[str, ...] = ()
    #: Turned off, questions for the features stay unanswered and can be taken by `expect`.
    answers: bool = True
    _answering: asyncio.Task[None] | None = None

    @classmethod
    async def come(cls, account: Account, resource: str, features: tuple[str, ...], *, answers: bool = True) -> Person:
        """Logs in, without presence."""
        person = await cls.connect(account, resource)
        assert isinstance(person, cls)
        person.features = features
        if answers:
            person._answering = asyncio.create_task(person._answer())
        return person

    @classmethod
    async def reconnect(cls, account: Account, jid: str) -> Person:
        """A new connection that is logged in but not bound: for resuming an old session (XEP-0198)."""
        person = cls(account, jid.partition("/")[2])
        person._bind = _nothing  # type: ignore[method-assign]
        await person._log_in(None)
        return person

    async def _answer(self) -> None:
        while True:
            asked = await self.inbox.expect(lambda s: s.type == "get" and s.has("info:query"), timeout=3600.0)
            await self.answer_features(asked)

    async def answer_features(self, asked: Stanza) -> None:
        """The answer to a disco#info request that was read."""
        listed = tag("identity", category="client", type_="pc") + "".join(tag("feature", var=f) for f in self.features)
        query = tag("query", listed, xmlns=DISCO_INFO, node=asked.get("info:query", "node"))
        await self.send(tag("iq", query, type_="result", id_=asked.id, to=asked.sender or None))

    @property
    def caps(self) -> str:
        """The caps element for the features as they are now."""
        return tag("c", xmlns=CAPS, hash_="sha-1", node="https://client.example", ver=caps_hash(self.features))

    async def appear(self, content: str | None = None) -> None:
        """Sends available presence, by default with caps, and waits until the server knows what this client speaks."""
        await self.send(tag("presence", self.caps if content is None else content))
        await self.settle()

    async def settle(self) -> None:
        """Waits until the server has dealt with what was sent, and with our answer to what it asked."""
        await self.barrier(self.bare)
        await self.barrier(self.bare)

    async def roster(self, *, annotate: bool = False) -> Stanza:
        """Reads the roster, which also makes the server push changes."""
        content = tag("annotate", xmlns=ANNOTATE) if annotate else ""
        return await self.request("", tag("query", content, xmlns=ROSTER))

    async def ask_pam(self, kind: str, channel: str, inner: str, to: str | None = None) -> str:
        """Sends `client-join` or `client-leave`; returns the id."""
        id_ = fresh_id()
        await self.send(
            tag("iq", tag(f"client-{kind}", inner, xmlns=PAM, channel=channel), type_="set", id_=id_, to=to)
        )
        return id_

    async def ask_join(self, channel: str, *content: str) -> str:
        """Sends `client-join` for the usual nodes."""
        nodes = "".join(tag("subscribe", node=NODES + n) for n in ("messages", "participants", "info", "presence"))
        return await self.ask_pam("join", channel, tag("join", nodes + "".join(content), xmlns=MIX))

    async def ask_leave(self, channel: str) -> str:
        return await self.ask_pam("leave", channel, tag("leave", xmlns=MIX))

    async def answer_to(self, id_: str) -> Stanza:
        """The answer to an IQ of ours."""
        return await self.expect(lambda s: s.kind == "iq" and s.id == id_, what=f"answer to {id_}")

    async def push(self, channel: str) -> Stanza:
        """The next roster push about this channel."""
        path = f"roster:query/roster:item[@jid='{channel}']"
        return await self.expect(lambda s: s.type == "set" and s.has(path), what=f"push of {channel}")

    async def cut(self) -> None:
        if self._answering is not None:
            self._answering.cancel()
            with contextlib.suppress(asyncio.CancelledError, AssertionError):
                await self._answering
            self._answering = None
        await super().cut()


class MixService(Component):
    """The service behind a MIX domain, as a component; it does what the test says."""

    def channel(self, name: str = "coven") -> str:
        return f"{name}@{self.domain}"

    async def request_of(self, user: str, kind: str) -> Stanza:
        """The next `join` or `leave` of this user."""
        return await self.expect(
            lambda s: s.type == "set" and s.sender == user and s.has(f"mix:{kind}"), what=f"{kind} of {user}"
        )

    async def reply(self, request: Stanza, content: str) -> None:
        await self.send(tag("iq", content, type_="result", id_=request.id, from_=request.to, to=request.sender))

    async def refuse(self, request: Stanza, error: str) -> None:
        await self.send(tag("iq", error, type_="error", id_=request.id, from_=request.to, to=request.sender))

    async def request_as(self, to: str, payload: str) -> Stanza:
        """Sends an IQ set from a channel to this address; returns the answer."""
        id_ = fresh_id()
        await self.send(tag("iq", payload, type_="set", id_=id_, from_=self.channel(), to=to))
        return await self.expect(lambda s: s.kind == "iq" and s.id == id_, what=f"answer to {id_}")

    async def accept_join(self, user: str, participant: str = "p1", content: str = "") -> Stanza:
        """Answers the next join of this user with success; returns the request."""
        request = await self.request_of(user, "join")
        await self.reply(request, tag("join", content, xmlns=MIX, id_=participant))
        return request

    async def accept_leave(self, user: str) -> Stanza:
        request = await self.request_of(user, "leave")
        await self.reply(request, tag("leave", xmlns=MIX))
        return request

    async def has_joined(
        self, person: Person, channel: str | None = None, participant: str = "p1", *content: str
    ) -> str:
        """The person joins, as far as the answer; returns the channel."""
        channel = channel or self.channel()
        id_ = await person.ask_join(channel, *content)
        await self.accept_join(person.bare, participant)
        assert (await person.answer_to(id_)).type == "result"
        return channel

    async def groupchat(self, to: str, body: str = "hello", *, sender: str | None = None, extra: str = "") -> str:
        """Sends one groupchat copy to a participant; returns its id."""
        id_ = fresh_id()
        mix = tag("mix", text("nick", "witch"), xmlns=MIX)
        sender = sender or self.channel() + "/other"
        await self.send(
            tag("message", text("body", body) + mix + extra, type_="groupchat", id_=id_, from_=sender, to=to)
        )
        return id_

    async def event(self, to: str, *, sender: str | None = None) -> str:
        """Sends a PubSub event of the participants node; returns its id."""
        id_ = fresh_id()
        items = tag("items", tag("item", id_="other"), node=NODES + "participants")
        await self.send(
            tag("message", tag("event", items, xmlns=EVENT), id_=id_, from_=sender or self.channel(), to=to)
        )
        return id_

    async def presence(self, to: str, *, sender: str | None = None, type_: str | None = None) -> str:
        """Sends presence of another participant's client; returns its id."""
        id_ = fresh_id()
        sender = sender or f"other#{self.channel()}/res"
        await self.send(tag("presence", id_=id_, from_=sender, to=to, type_=type_))
        return id_

    async def all_sent_to(self, person: Person) -> list[Stanza]:
        """Everything from this service that has reached the client, after all that we sent before has passed."""
        id_ = fresh_id()
        await self.send(tag("iq", tag("ping", xmlns=PING), type_="get", id_=id_, from_=self.domain, to=person.jid))
        await person.expect(lambda s: s.id == id_, what="the service's ping")
        return [s for s in person.inbox.take_all() if s.sender.partition("/")[0].endswith(self.domain)]

    async def all_received(self, person: Person) -> list[Stanza]:
        """What this user's sessions and server sent here and nobody took, after all that the client sent has passed."""
        id_ = fresh_id()
        await person.send(tag("message", text("body", "barrier"), id_=id_, to=self.domain))
        await self.expect(lambda s: s.id == id_, what="the client's barrier")
        return self.inbox.take_all(lambda s: s.sender.partition("/")[0] == person.bare)


def preference(value: str | None, **fields: str) -> str:
    """A form of preferences (XEP-0404 §3.1) with this value for `Presence`."""
    return form(ANON, {**fields, **({} if value is None else {"Presence": value})})


def error(condition: str, type_: str, detail: str = "") -> str:
    """An error element as a service sends it."""
    return tag("error", tag(condition, xmlns="urn:ietf:params:xml:ns:xmpp-stanzas") + detail, type_=type_)


def item(roster: Stanza, channel: str) -> dict[str, str] | None:
    """The attributes of a roster item, plus `participant-id` if it is annotated; None if it is not there."""
    found = roster.find(f"roster:query/roster:item[@jid='{channel}']")
    if found is None:
        return None
    mark = found.find("annotate:channel", PREFIXES)
    return {**found.attrib, **({} if mark is None else dict(mark.attrib))}
