"""Thousands of occupants: clients that hold no stanza, only who is in which room.

A story of 20,000 occupants reads some hundred thousand presences. What is here looks at the bytes alone: the start tags
of stanzas, with their addresses and types. `ThriftyClient` is a user of a real server, `crowd.py` has users without one.
"""

from __future__ import annotations

import asyncio
import collections
import dataclasses
import re
from collections.abc import Callable, Iterable, Iterator

from .client import Account, Client
from .stanza import MUC, tag

_START = re.compile(rb"<(presence|message|iq) ([^>]*)>")
_ATTRIBUTE = re.compile(rb"""\b(from|to|type|id)=(?:'([^']*)'|"([^"]*)")""")


@dataclasses.dataclass(frozen=True)
class Tag:
    """The start tag of a stanza. Values are as written: no story here has an address with a quote in it."""

    kind: str
    sender: str
    to: str
    type: str | None
    id: str


class TagScanner:
    """Finds the start tags of stanzas in a stream, wherever reads end."""

    def __init__(self) -> None:
        self._held = b""

    def scan(self, data: bytes) -> Iterator[Tag]:
        """The start tags that these bytes complete, in order."""
        whole, tag_end, self._held = (self._held + data).rpartition(b">")
        for start in _START.finditer(whole + tag_end):
            found = {name: (a or b).decode() for name, a, b in _ATTRIBUTE.findall(start[2])}
            yield Tag(
                start[1].decode(), found.get(b"from", ""), found.get(b"to", ""), found.get(b"type"), found.get(b"id", "")
            )


@dataclasses.dataclass
class Seen:
    """What one session was told of one room."""

    #: Nicks that are shown.
    here: set[str] = dataclasses.field(default_factory=set)
    #: Nicks that were shown again though they had not gone.
    again: list[str] = dataclasses.field(default_factory=list)
    #: Nicks that went, in order.
    gone: list[str] = dataclasses.field(default_factory=list)

    def presence(self, nick: str, unavailable: bool) -> None:
        """Takes notice of a presence."""
        if unavailable:
            self.here.discard(nick)
            self.gone.append(nick)
        elif nick in self.here:
            self.again.append(nick)
        else:
            self.here.add(nick)


class ThriftyClient(Client):
    """A client that keeps only who is in which room, and errors."""

    def __init__(self, account: Account, resource: str) -> None:
        super().__init__(account, resource)
        self.rooms: dict[str, Seen] = collections.defaultdict(Seen)
        #: Stanzas of type error.
        self.errors: list[Tag] = []
        self._scanner = TagScanner()
        self._news = asyncio.Event()

    @classmethod
    async def connect(cls, account: Account, resource: str = "one", tls: None = None) -> ThriftyClient:
        """Logs in; from then on nothing is kept but what `rooms` says."""
        client = cls(account, resource)
        await client._log_in(tls)
        await client._stop_reading()
        client._reading = asyncio.create_task(client._scan_all())
        return client

    async def join_all(self, rooms: Iterable[str], nick: str) -> None:
        """Sends joins without history; `until` waits for what they bring."""
        inside = tag("x", tag("history", maxstanzas="0"), xmlns=MUC)
        for room in rooms:
            await self.send(tag("presence", inside, to=f"{room}/{nick}"))

    async def until(self, condition: Callable[[ThriftyClient], bool], timeout: float) -> None:
        """Waits until `condition(self)` holds; it is looked at whenever something was read."""
        async with asyncio.timeout(timeout):
            while not condition(self):
                self._news.clear()
                await self._news.wait()

    async def _scan_all(self) -> None:
        assert self._from_server is not None
        why = "end of stream"
        try:
            while data := await self._from_server.read(1 << 18):
                for start in self._scanner.scan(data):
                    self._note(start)
                self._news.set()
        except OSError as error:
            why = repr(error)
        self.inbox.close(why)
        self._news.set()

    def _note(self, start: Tag) -> None:
        room, _, nick = start.sender.partition("/")
        if start.type == "error":
            self.errors.append(start)
        elif start.kind == "presence":
            self.rooms[room].presence(nick, start.type == "unavailable")
