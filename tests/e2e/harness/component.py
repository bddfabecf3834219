"""A component of a few lines (XEP-0114): proves the harness without coven, and stands in for a second component."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib

from .client import Stream
from .stanza import COMPONENT, STREAM, tag, text


class Component(Stream):
    """A component stream. Once `echo` is on, it answers each message and each IQ request."""

    def __init__(self, domain: str) -> None:
        super().__init__(domain)
        self.domain = domain
        self._echo: asyncio.Task[None] | None = None

    @classmethod
    async def connect(cls, port: int, domain: str, secret: str) -> Component:
        """Opens the stream and shakes hands; ConnectionError if the server refuses."""
        component = cls(domain)
        header = await component.open(
            port, f"<stream:stream xmlns='{COMPONENT}' xmlns:stream='{STREAM}' to='{domain}'>"
        )
        digest = hashlib.sha1((header["id"] + secret).encode()).hexdigest()
        await component.send(f"<handshake>{digest}</handshake>")
        answer = await component.expect(lambda s: s.kind in ("handshake", "error"), what="handshake")
        if answer.kind == "error":
            await component.cut()
            raise ConnectionError(f"{domain}: {answer}")
        return component

    def echo(self) -> None:
        """From now on: messages go back to their sender, requests get an empty result."""
        self._echo = asyncio.create_task(self._answer())

    async def _answer(self) -> None:
        while True:
            s = await self.inbox.expect(lambda s: s.type not in ("error", "result"), timeout=3600.0)
            if s.kind == "message":
                body = text("body", s.body or "")
                await self.send(tag("message", body, from_=s.to, to=s.sender, type_=s.type, id_=s.id))
            elif s.kind == "iq":
                await self.send(tag("iq", from_=s.to, to=s.sender, type_="result", id_=s.id))

    async def cut(self) -> None:
        if self._echo is not None:
            self._echo.cancel()
            with contextlib.suppress(asyncio.CancelledError, AssertionError):
                await self._echo
            self._echo = None
        await super().cut()
