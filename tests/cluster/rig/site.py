"""A folder, and all processes that a story starts in it. Whatever happens, they are gone at the end."""

from __future__ import annotations

import contextlib
import pathlib
from typing import Self

from harness.coven import Config, Coven, Domain

from .proxy import Proxy
from .service import Single
from .upstream import Group, Upstream

DOMAIN = "chat.localhost"


class Site:
    """Starts processes, and stops them in the opposite order."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self._ends = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *what: object) -> None:
        await self._ends.aclose()

    async def upstream(self, groups: tuple[Group, ...], mode: str = "standby", nodes: int = 1) -> Upstream:
        """A server with users."""
        upstream = Upstream(self.folder / "upstream", groups, mode, nodes)
        self._ends.push_async_callback(upstream.stop)
        await upstream.start()
        return upstream

    async def proxy(self) -> Proxy:
        """Ways that can be cut."""
        proxy = Proxy(self.folder / "proxy")
        self._ends.push_async_callback(proxy.stop)
        await proxy.start()
        return proxy

    async def coven(self, name: str, config: Config, ready: bool = True) -> Coven:
        """One process of coven."""
        coven = Coven(self.folder / name, config)
        self._ends.push_async_callback(coven.stop)
        await coven.start(ready)
        return coven

    async def single(self, upstream: Upstream) -> Single:
        """One process that does all, with its store in a file."""
        config = Config.for_server(upstream, Domain(DOMAIN))  # type: ignore[arg-type]
        return Single(await self.coven("coven", config))
