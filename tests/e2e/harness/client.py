"""A client that sends raw XML and keeps every stanza that it reads.

Nothing here waits for a time: `expect` waits for a stanza with a deadline, and `barrier` makes silence
provable, since an answer is ordered behind what was sent before it.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import dataclasses
import itertools
import ssl
from collections.abc import Awaitable, Callable

from .stanza import BIND, CLIENT, PING, SASL, STREAM, Stanza, StreamReader, tag, text

#: How long a story waits for a stanza, in seconds; generous, since it costs only when a story fails.
DEADLINE = 60.0

Predicate = Callable[[Stanza], bool]


@dataclasses.dataclass(frozen=True)
class Account:
    """A user of an XMPP server that listens on a loopback port."""

    user: str
    host: str
    password: str
    port: int

    @property
    def bare(self) -> str:
        return f"{self.user}@{self.host}"


class Inbox:
    """The stanzas of one stream, in the order of arrival. Each is taken out by at most one `expect`."""

    def __init__(self, name: str) -> None:
        self.name = name
        #: Everything that was ever read, taken or not.
        self.history: list[Stanza] = []
        self._waiting: list[Stanza] = []
        self._arrived = asyncio.Event()
        self._listeners: list[Callable[[Stanza], None]] = []
        self.closed: str | None = None

    def listen(self, listener: Callable[[Stanza], None]) -> None:
        """From now on `listener` is called with each stanza as it arrives."""
        self._listeners.append(listener)

    def put(self, stanza: Stanza) -> None:
        for listener in self._listeners:
            listener(stanza)
        self.history.append(stanza)
        self._waiting.append(stanza)
        self._arrived.set()

    def close(self, why: str) -> None:
        self.closed = self.closed or why
        self._arrived.set()

    def take(self, wanted: Predicate) -> Stanza | None:
        """The first stanza that matches and was not taken before, without waiting."""
        for at, stanza in enumerate(self._waiting):
            if wanted(stanza):
                return self._waiting.pop(at)
        return None

    def take_all(self, wanted: Predicate = lambda _: True) -> list[Stanza]:
        """All matches that were not taken before, in order, without waiting."""
        taken = [s for s in self._waiting if wanted(s)]
        self._waiting = [s for s in self._waiting if not wanted(s)]
        return taken

    async def expect(self, wanted: Predicate, timeout: float = DEADLINE, what: str = "the stanza") -> Stanza:
        """Takes the first stanza that matches; fails with what is there instead at the deadline."""
        try:
            async with asyncio.timeout(timeout):
                while (found := self.take(wanted)) is None:
                    if self.closed:
                        break
                    self._arrived.clear()
                    await self._arrived.wait()
        except TimeoutError:
            found = None
        if found is None:
            raise AssertionError(self._missing(what, timeout))
        return found

    def _missing(self, what: str, timeout: float) -> str:
        end = f"; stream closed: {self.closed}" if self.closed else ""
        there = [f"  {s}" for s in self._waiting[-20:]]
        return "\n".join([f"{self.name}: no {what} within {timeout} s{end}; not taken (last 20):", *there])


class Stream:
    """A connection with an XML stream on it: what client and component share."""

    def __init__(self, name: str) -> None:
        self.inbox = Inbox(name)
        self._reader = StreamReader()
        self._from_server: asyncio.StreamReader | None = None
        self._to_server: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None
        self._ids = itertools.count(1)

    async def open(self, port: int, header: str) -> dict[str, str]:
        """Connects, sends the stream header, returns the attributes of the answer's."""
        self._from_server, self._to_server = await asyncio.open_connection("127.0.0.1", port)
        return await self._start_stream(header)

    async def _start_stream(self, header: str) -> dict[str, str]:
        """Begins (or, after SASL or TLS, begins again) the XML stream."""
        await self._stop_reading()
        self._reader = StreamReader()
        opened = asyncio.Event()
        await self.send(header)
        self._reading = asyncio.create_task(self._read(opened))
        async with asyncio.timeout(DEADLINE):
            await opened.wait()
        if self._reader.header is None:
            raise ConnectionError(f"{self.inbox.name}: {self.inbox.closed}")
        return self._reader.header

    async def _read(self, opened: asyncio.Event) -> None:
        assert self._from_server is not None
        why = "end of stream"
        try:
            while data := await self._from_server.read(65536):
                for stanza in self._reader.feed(data):
                    self.inbox.put(stanza)
                if self._reader.header is not None:
                    opened.set()
        except (OSError, SyntaxError) as error:
            why = repr(error)
        self.inbox.close(why)
        opened.set()

    async def _stop_reading(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._reading
            self._reading = None

    def next_id(self) -> str:
        return f"h{next(self._ids)}"

    async def send(self, xml: str) -> None:
        """Sends text as it is."""
        assert self._to_server is not None
        self._to_server.write(xml.encode())
        await self._to_server.drain()

    async def expect(self, wanted: Predicate, timeout: float = DEADLINE, what: str = "the stanza") -> Stanza:
        """See `Inbox.expect`."""
        return await self.inbox.expect(wanted, timeout, what)

    async def request(self, to: str, payload: str, type_: str = "get", timeout: float = DEADLINE) -> Stanza:
        """Sends an IQ; returns its answer, result or error."""
        id_ = self.next_id()
        await self.send(tag("iq", payload, to=to or None, type_=type_, id_=id_))
        return await self.expect(
            lambda s: s.kind == "iq" and s.id == id_ and s.type in ("result", "error"), timeout, f"answer to iq {id_}"
        )

    async def barrier(self, to: str) -> Stanza:
        """A ping and its answer: what `to` had sent to us before it has arrived too."""
        return await self.request(to, tag("ping", xmlns=PING))

    async def cut(self) -> None:
        """Drops the connection without a word, as a client does that loses its network."""
        await self._stop_reading()
        if self._to_server is not None:
            self._to_server.transport.abort()
            self._to_server = None
        self.inbox.close("cut")

    async def close(self) -> None:
        """Ends the stream and waits for the other side to end it too."""
        if self._to_server is not None and not self.inbox.closed:
            with contextlib.suppress(OSError, TimeoutError):
                await self.send("</stream:stream>")
                async with asyncio.timeout(2.0):
                    if self._reading is not None:
                        await asyncio.shield(self._reading)
        await self.cut()


class Client(Stream):
    """A user's connection, logged in by SASL PLAIN and bound to a resource."""

    def __init__(self, account: Account, resource: str) -> None:
        super().__init__(f"{account.bare}/{resource}")
        self.account = account
        self.jid = f"{account.bare}/{resource}"

    @property
    def bare(self) -> str:
        return self.account.bare

    @classmethod
    async def connect(cls, account: Account, resource: str, tls: ssl.SSLContext | None = None) -> Client:
        """Logs in. No presence is sent: `await client.send("<presence/>")` does that. STARTTLS where `tls` is given."""
        client = cls(account, resource)
        try:
            await client._log_in(tls)
        except BaseException:
            await client.cut()
            raise
        return client

    @property
    def _header(self) -> str:
        return f"<stream:stream xmlns='{CLIENT}' xmlns:stream='{STREAM}' to='{self.account.host}' version='1.0'>"

    async def _log_in(self, tls: ssl.SSLContext | None) -> None:
        await self.open(self.account.port, self._header)
        await self._features()
        if tls is not None:
            await self._start_tls(tls)
        token = base64.b64encode(f"\0{self.account.user}\0{self.account.password}".encode()).decode()
        await self.send(f"<auth xmlns='{SASL}' mechanism='PLAIN'>{token}</auth>")
        answer = await self.expect(lambda s: s.namespace == SASL, what="answer to auth")
        if answer.kind != "success":
            raise PermissionError(f"{self.jid}: {answer}")
        await self._start_stream(self._header)
        await self._features()
        await self._bind()

    async def _features(self) -> Stanza:
        return await self.expect(lambda s: s.kind == "features", what="stream features")

    async def _start_tls(self, tls: ssl.SSLContext) -> None:
        await self.send("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
        await self.expect(lambda s: s.kind == "proceed", what="proceed")
        await self._stop_reading()
        assert self._to_server is not None
        await self._to_server.start_tls(tls, server_hostname=self.account.host)
        await self._start_stream(self._header)
        await self._features()

    async def _bind(self) -> None:
        resource = self.jid.partition("/")[2]
        answer = await self.request("", tag("bind", text("resource", resource), xmlns=BIND), "set")
        bound = answer.text("bind:bind/bind:jid")
        if bound is None:
            raise ConnectionError(f"{self.jid}: {answer}")
        self.jid = self.inbox.name = bound


#: The fixture `login`: a user's name and a resource.
Login = Callable[..., Awaitable[Client]]
