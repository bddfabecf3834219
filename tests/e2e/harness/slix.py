"""Clients of a public library (slixmpp): what others' code makes of our stanzas."""

from __future__ import annotations

import asyncio
from typing import Any

import slixmpp

from .client import DEADLINE, Account
from .process import eventually
from .stanza import WholeTags

_NUMBERS = ("030", "045", "059", "060", "199", "313", "359", "369", "403", "404", "405", "410")
_PLUGINS = tuple(f"xep_0{number}" for number in _NUMBERS)


class _Xmpp(slixmpp.ClientXMPP):
    """The library's client, with whole tags for its parser: see `WholeTags`."""

    def __init__(self, jid: str, password: str) -> None:
        super().__init__(jid, password)
        self._tags = WholeTags()
        #: Every byte that was ever read.
        self.raw = b""

    def data_received(self, data: bytes | str) -> None:
        read = data.encode() if isinstance(data, str) else data
        self.raw += read
        super().data_received(self._tags.add(read))


class SlixClient:
    """A slixmpp client that is online. `xmpp` is the library's object, `xmpp.plugin["xep_0045"]` a plugin."""

    def __init__(self, account: Account, resource: str) -> None:
        self.xmpp: Any = _Xmpp(f"{account.bare}/{resource}", account.password)
        #: Every message that the library has read.
        self.messages: list[Any] = []
        self.xmpp.add_event_handler("message", self.messages.append)
        for plugin in _PLUGINS:
            self.xmpp.register_plugin(plugin)
        # There is no TLS on the tests' loopback listeners.
        self.xmpp.enable_direct_tls = False
        self.xmpp.enable_starttls = False
        self.xmpp.enable_plaintext = True
        self.xmpp.plugin["feature_mechanisms"].unencrypted_plain = True

    @classmethod
    async def connect(cls, account: Account, resource: str = "slix") -> SlixClient:
        """Logs in and sends initial presence."""
        client = cls(account, resource)
        online: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def started(_: Any) -> None:
            if not online.done():
                online.set_result(None)

        def refused(why: Any) -> None:
            if not online.done():
                online.set_exception(PermissionError(str(why)))

        client.xmpp.add_event_handler("session_start", started)
        client.xmpp.add_event_handler("failed_all_auth", refused)
        client.xmpp.connect("127.0.0.1", account.port)
        async with asyncio.timeout(DEADLINE):
            await online
        client.xmpp.send_presence()
        return client

    async def hears(self, body: str, timeout: float = DEADLINE) -> Any:
        """Waits for a message with this body, of any type, unless it has come already."""

        def found() -> list[Any]:
            return [m for m in self.messages if m["body"] == body]

        await eventually(lambda: bool(found()), timeout, lambda: f"no {body!r} among {self.messages}")
        return found()[0]

    async def close(self) -> None:
        """Logs out."""
        await self.xmpp.disconnect()
