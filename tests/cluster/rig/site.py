"""A folder, and all processes that a story starts in it. Whatever happens, they are gone at the end."""

from __future__ import annotations

import contextlib
import functools
import os
import pathlib
import subprocess
import tempfile
from typing import Any, Self

from harness import coven as coven_module
from harness.coven import Config, Coven, Domain, Upstream as Attached
from harness.process import free_ports

from .proxy import Proxy
from .redis import NAME, Redis
from .service import Cluster, Single
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

    async def redis(self, sentinels: int = 0) -> Redis:
        """A primary with a replica, and Sentinels if a new primary is to be looked for."""
        redis = Redis(self.folder / "redis", sentinels=sentinels)
        self._ends.push_async_callback(redis.stop)
        await redis.start()
        return redis

    async def coven(
        self, name: str, config: Config, ready: bool = True, binary: pathlib.Path | None = None
    ) -> Coven:
        """One process of coven; of another binary than the usual one, if that is given."""
        coven = Coven(self.folder / name, config)
        coven.binary = binary
        self._ends.push_async_callback(coven.stop)
        await coven.start(ready)
        return coven

    async def single(self, upstream: Upstream, store: str = "sqlite:coven.db") -> Single:
        """One process that does all."""
        return Single(await self.coven("coven", _config(upstream, "all", store)))

    async def cluster(
        self,
        upstream: Upstream,
        redis: Redis,
        proxy: Proxy,
        nodes: int = 3,
        fronts: int = 2,
        binary: pathlib.Path | None = None,
    ) -> Cluster:
        """Nodes and front-ends. Everything goes by the proxy: `node0-redis` and `links-node0` are names of ways; Sentinels
        name addresses themselves, so with them nodes go to Redis directly."""
        made: dict[str, list[Coven]] = {"node": [], "front": []}
        for role, count in (("node", nodes), ("front", fronts)):
            for n in range(count):
                name = f"{role}{n}"
                way = await proxy.open(f"{name}-redis", redis.servers[0].port)
                store = sentinel_url(redis) if redis.sentinels else f"redis://127.0.0.1:{way}/0"
                config = _config(upstream, role, store)
                (port,) = free_ports(1)
                link = await proxy.open(f"links-{name}", port)
                config.more["cluster"] = {"listen": f"127.0.0.1:{port}", "advertise": f"127.0.0.1:{link}"}
                made[role].append(await self.coven(name, config, ready=False, binary=binary))
        cluster = Cluster(made["node"], made["front"])
        await cluster.ready()
        return cluster


def sentinel_url(redis: Redis) -> str:
    """The store's address where Sentinels watch."""
    return f"redis+sentinel://{','.join(f'127.0.0.1:{s.port}' for s in redis.sentinels)}/{NAME}"


def _config(upstream: Upstream, role: str, store: str) -> Config:
    attached = [Attached(f"127.0.0.1:{port}", [DOMAIN], upstream.secret(DOMAIN)) for port in upstream.ports()]
    return Config(attached, [Domain(DOMAIN)], role=role, store={"url": store})


def older() -> pathlib.Path | None:
    """The binary of an older version, from which stories upgrade; None where there is none (`scripts/lib/older.sh`)."""
    path = os.environ.get("COVEN_OLDER_BIN")
    return pathlib.Path(path) if path else None


@functools.cache
def no_cluster() -> str | None:
    """Why stories of nodes and front-ends cannot run, or None: the binary says so itself."""
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder, "coven.toml")
        config: dict[str, Any] = {"cluster": {"listen": "127.0.0.1:7400"}}
        attached = [Attached("127.0.0.1:5347", [DOMAIN], "secret")]
        store = {"url": "redis://127.0.0.1/0"}
        file.write_text(Config(attached, [Domain(DOMAIN)], role="node", store=store, more=config).toml())
        asked = subprocess.run(
            [coven_module.binary(), "check-config", "--config", file], capture_output=True, text=True, check=False
        )
    return None if asked.returncode == 0 else f"no cluster: {(asked.stderr or asked.stdout).strip()}"
