"""A server that is not there: it takes coven's stream (XEP-0114) and stands for thousands of users.

For what a real server cannot be asked for: 20,000 occupants within seconds, users behind another server that is away,
bounces that come late. What it answers is what Prosody answers: messages to a full JID that is gone come back with
`service-unavailable`, presences are dropped; where a server is away both come back with `remote-server-timeout`.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import dataclasses
import enum
import functools
import time
from collections.abc import Callable

from .history import STORED_WITHIN
from .many import Seen, Tag, TagScanner
from .server import SECRET
from .stanza import COMPONENT, MUC, MUC_OWNER, STANZAS, STREAM, tag

PROBE = "coven-probe-"
#: So many rooms are entered at a time.
UNDER_WAY = 25
#: What takes longer (s) never comes.
PATIENCE = 400.0


class Is(enum.Enum):
    """How a session is."""

    HERE = "here"
    #: Its client has gone, and nobody has told coven.
    GONE = "gone"
    #: Its server cannot be reached.
    AWAY = "away"
    #: It had gone, and joins again when it is probed; the bounces of the time before come after the join.
    BACK = "back"


@dataclasses.dataclass
class Place:
    """One session in one room."""

    room: str
    nick: str
    jid: str
    state: Is = Is.HERE
    seen: Seen = dataclasses.field(default_factory=Seen)
    #: Probes that came for it.
    probes: int = 0
    #: When the first stanza for it came back, and when others were told that it left: monotonic time.
    bounced: float = 0.0
    left: float = 0.0
    #: Bounces that are held back until it has joined again, and whether they were sent.
    late: str = ""
    late_sent: bool = False


class CrowdServer:
    """Listens for coven's stream of one domain, and is all of its users."""

    def __init__(self, domain: str = "chat.localhost") -> None:
        self.domain = domain
        self.places: dict[tuple[str, str], Place] = {}
        self.by_room: dict[str, list[Place]] = collections.defaultdict(list)
        self.streams = 0
        #: When the last stanza that is no ping came, and when the last ping: monotonic time.
        self.last_stanza = self.last_ping = 0.0
        self._nicks: dict[tuple[str, str], Place] = {}
        self._server: asyncio.Server | None = None
        self._to_coven: asyncio.StreamWriter | None = None
        self._news = asyncio.Event()
        self._port = 0

    def component_port(self, domain: str) -> int:
        return self._port

    def secret(self, domain: str) -> str:
        return SECRET

    async def start(self) -> None:
        """Listens, again on the same port after `stop`."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Ends the stream and listens no more."""
        if self._server is not None:
            self._server.close()
            self._server = None
        if self._to_coven is not None:
            self._to_coven.transport.abort()
            self._to_coven = None

    def add(self, room: str, nick: str, jid: str) -> Place:
        """One more occupant, who has still to join."""
        place = Place(room, nick, jid)
        self.places[room, jid] = self._nicks[room, nick] = place
        self.by_room[room].append(place)
        return place

    async def join_all(self) -> None:
        """Everybody joins; the first of each room creates it. Few rooms are under way at a time: answers to coven's pings go
        by the same stream, and would come late behind thousands of joins."""
        assert self._to_coven is not None
        rooms = list(self.by_room.values())
        for at, places in enumerate(rooms):
            if at >= UNDER_WAY:
                await self.until(functools.partial(is_whole, rooms[at - UNDER_WAY]), PATIENCE)
            for n, place in enumerate(places):
                self._to_coven.write(join(place).encode())
                if n == 0:
                    self._to_coven.write(unlock(place).encode())
            await self._to_coven.drain()

    async def until(self, condition: Callable[[], bool], timeout: float) -> None:
        """Waits until `condition()` holds; it is looked at ten times a second, and when something has come."""
        async with asyncio.timeout(timeout):
            while not condition():
                self._news.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.1):
                        await self._news.wait()

    def is_taken_in(self) -> bool:
        """Whether a ping has come behind the last stanza, and its answer is stored by now."""
        return self.last_stanza < self.last_ping < time.monotonic() - STORED_WITHIN / 1000 - 0.2

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.streams += 1
        self._to_coven = writer
        scanner = TagScanner()
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await reader.readuntil(b"to=")
            header = f"<stream:stream xmlns='{COMPONENT}' xmlns:stream='{STREAM}' from='{self.domain}' id='s1'>"
            writer.write(header.encode())
            await reader.readuntil(b"</handshake>")
            writer.write(b"<handshake/>")
            while data := await reader.read(1 << 18):
                answers = [self._take(start) for start in scanner.scan(data)]
                writer.write("".join(answers).encode())
                await writer.drain()
                self._news.set()
                if b"</stream:stream>" in data[-32:]:
                    writer.write(b"</stream:stream>")
                    break
        writer.close()

    def _take(self, start: Tag) -> str:
        """What is answered at once."""
        now = time.monotonic()
        if start.kind == "iq":
            if start.to == self.domain:
                self.last_ping = now
                return tag(
                    "iq", "<ping xmlns='urn:xmpp:ping'/>", from_=start.sender, to=start.to, type_=start.type, id_=start.id
                )
            return ""
        self.last_stanza = now
        room, _, nick = start.sender.partition("/")
        place = self.places.get((room, start.to))
        if place is None or start.type == "error":
            return ""
        probe = start.id.startswith(PROBE)
        place.probes += probe
        return self._deliver(place, start, nick, now)

    def _deliver(self, place: Place, start: Tag, nick: str, now: float) -> str:
        if place.state is Is.AWAY:
            return self._bounce(place, start, "remote-server-timeout", now)
        if place.state is Is.GONE:
            return self._bounce(place, start, "service-unavailable", now) if start.kind == "message" else ""
        if place.state is Is.BACK and start.id.startswith(PROBE) and not place.late:
            other = dataclasses.replace(start, id="a-message")
            place.late = "".join(self._bounce(place, s, "service-unavailable", now) for s in (start, other))
            place.seen = Seen()
            return join(place)
        if start.kind == "presence":
            return self._show(place, start, nick, now)
        return ""

    def _show(self, place: Place, start: Tag, nick: str, now: float) -> str:
        unavailable = start.type == "unavailable"
        place.seen.presence(nick, unavailable)
        about = self._nicks.get((place.room, nick))
        if unavailable and about is not None:
            about.left = about.left or now
        if about is place and place.late and not place.late_sent:
            place.late_sent = True
            return place.late
        return ""

    def _bounce(self, place: Place, start: Tag, condition: str, now: float) -> str:
        place.bounced = place.bounced or now
        error = tag("error", f"<{condition} xmlns='{STANZAS}'/>", type_="cancel")
        return tag(start.kind, error, from_=place.jid, to=start.sender, type_="error", id_=start.id or None)


def is_whole(places: list[Place]) -> bool:
    """Whether everybody in a room sees everybody."""
    return all(len(place.seen.here) == len(places) for place in places)


def join(place: Place) -> str:
    """A join without history."""
    inside = tag("x", "<history maxstanzas='0'/>", xmlns=MUC)
    return tag("presence", inside, from_=place.jid, to=f"{place.room}/{place.nick}")


def unlock(place: Place) -> str:
    """The creator takes the defaults (XEP-0045 §10.1.2)."""
    form = "<x xmlns='jabber:x:data' type='submit'/>"
    return tag("iq", tag("query", form, xmlns=MUC_OWNER), from_=place.jid, to=place.room, type_="set", id_="unlock")
