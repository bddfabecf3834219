"""What is done to a running service, and what it may cost.

A fault is over when all processes run again. `strike` does it while commits are made, marks it in the histories, and
waits until every room carries messages again.
"""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import pathlib
import signal
from collections.abc import Awaitable, Callable, Sequence

from harness.coven import Coven

from .proxy import Proxy
from .redis import Redis
from .service import Cluster, Service
from .upstream import Upstream

#: How long a process is stopped, or a way is cut: longer than the life of a session, which is 6 s (design §5).
STOPPED_SECONDS = 30.0
CUT_SECONDS = 10.0
#: How long the server reads nothing: it is given up after 10 s of silence (design §6).
STALLED_SECONDS = 13.0


@dataclasses.dataclass(frozen=True)
class Scene:
    """All that a fault may be done to."""

    service: Service
    upstream: Upstream
    redis: Redis | None = None
    proxy: Proxy | None = None
    #: The binary of an older version.
    older: pathlib.Path | None = None

    def nodes(self, number: int) -> Coven:
        """The node whose turn it is."""
        return _turn(self.service.nodes, number)

    async def fronts(self, number: int) -> Coven:
        """A front-end: mostly one that holds a stream, every third time whose turn it is."""
        if isinstance(self.service, Cluster) and number % 3 != 2:
            return await self.service.holder()
        return _turn(self.service.fronts, number)

    def store(self) -> Redis:
        assert self.redis is not None, "there is no Redis"
        return self.redis

    def ways(self) -> Proxy:
        assert self.proxy is not None, "there is no proxy"
        return self.proxy


@dataclasses.dataclass(frozen=True)
class Fault:
    """A fault that can be done to a service, and what it excuses."""

    name: str
    #: Does it; the number counts the faults, so that they go around.
    act: Callable[[Scene, int], Awaitable[None]]
    #: Copies may come twice: a front-end died, or its stream, with output that nobody has acknowledged.
    may_duplicate: bool = False
    #: Messages may vanish: they were in the buffers of a stream that broke.
    may_vanish: bool = False
    #: How long rooms may need to carry messages again.
    patience: float = 120.0
    #: The longest pause of 99 of 100 rooms, where the design promises one (§5).
    p99_ms: float | None = None


@dataclasses.dataclass(frozen=True)
class Struck:
    """What was measured of one fault."""

    name: str
    #: Commits that were made in the moment before.
    commits_before: int
    #: Commits that were made in the moment in which all rooms carried messages again.
    commits_after: int
    #: From the end of the fault to the moment in which all rooms carried messages.
    seconds: float


async def strike(fault: Fault, scene: Scene, number: int = 0) -> Struck:
    """Does it. Everybody asks afterwards whether they are still in."""
    service, upstream = scene.service, scene.upstream
    before = await service.commits_flow()
    flags = {"may_duplicate": fault.may_duplicate, "may_vanish": fault.may_vanish}
    await upstream.order("mark", fault=fault.name, phase="begin", **flags)
    await fault.act(scene, number)
    await upstream.order("mark", fault=fault.name, phase="end")
    seconds = await upstream.heard(fault.patience)
    after = await service.commits_flow()
    await upstream.self_ping()
    # A room that was heard may have had a later word refused, before its shard had an owner: it is to be heard again.
    await upstream.heard(fault.patience)
    return Struck(fault.name, before, after, seconds)


def _turn(processes: Sequence[Coven], number: int) -> Coven:
    return processes[number % len(processes)]


async def kill(process: Coven) -> None:
    """SIGKILL, and a new start."""
    await process.kill()
    await process.start()


async def stop_for_a_while(process: Coven, seconds: float) -> None:
    """SIGSTOP; SIGCONT after a while."""
    process.pause()
    try:
        await asyncio.sleep(seconds)
    finally:
        process.go_on()
    await process.ready()


async def roll(process: Coven) -> None:
    """SIGTERM, which it obeys in good order, and a new start."""
    await _end(process)
    await process.start()


async def _end(process: Coven) -> None:
    code = await process.terminate()
    assert code == 0, f"it ended with {code} after SIGTERM"


async def _kill_node(scene: Scene, number: int) -> None:
    await kill(scene.nodes(number))


async def _kill_front(scene: Scene, number: int) -> None:
    await kill(await scene.fronts(number))


async def _stop(scene: Scene, number: int) -> None:
    """Two nodes, then a front-end."""
    process = await scene.fronts(0) if number % 3 == 2 else scene.nodes(number)
    await stop_for_a_while(process, STOPPED_SECONDS)


async def _roll_all(scene: Scene, number: int) -> None:
    for process in dict.fromkeys([*scene.service.nodes, *scene.service.fronts]):
        await roll(process)


async def _upgrade(scene: Scene, number: int) -> None:
    """All processes one after the other, nodes and front-ends in turns: to this version, and back to the older one."""
    assert scene.older is not None, "there is no older version"
    nodes, fronts = list(scene.service.nodes), list(scene.service.fronts)
    pairs = itertools.zip_longest(nodes, fronts)
    for process in (one for pair in pairs for one in pair if one is not None):
        is_old = process.binary is not None
        process.binary = scene.older if number % 2 else None
        # How an older version ends is past mending.
        await (process.terminate() if is_old else _end(process))
        await process.start()


async def _cut_redis(scene: Scene, number: int) -> None:
    """Broken connections and silent ones take turns."""
    which = number % len(scene.service.nodes)
    await _cut(scene, f"node{which}-redis", number // len(scene.service.nodes), None)
    await scene.service.nodes[which].ready()


async def _cut_front(scene: Scene, number: int) -> None:
    """A front-end, mostly the one that holds the stream, loses a node, and the others do not."""
    front = await scene.fronts(number)
    assert front.process is not None
    await _cut(scene, f"links-node{number % len(scene.service.nodes)}", number, front.process.pid)
    await front.ready()


async def _cut(scene: Scene, way: str, number: int, pid: int | None) -> None:
    proxy = scene.ways()
    await (proxy.swallow if number % 2 else proxy.cut)(way, pid)
    try:
        await asyncio.sleep(CUT_SECONDS)
    finally:
        await proxy.heal(way)


async def _cut_stream(scene: Scene, number: int) -> None:
    """The server breaks the streams."""
    done = await scene.upstream.order("cut")
    assert done["ok"], "there was no stream"
    await _attached_again(scene)


async def _stall_stream(scene: Scene, number: int) -> None:
    """The server reads nothing for longer than a server is waited for."""
    done = await scene.upstream.order("stall", seconds=STALLED_SECONDS)
    assert done["ok"], "there was no stream"
    await asyncio.sleep(STALLED_SECONDS)
    await _attached_again(scene)


async def _attached_again(scene: Scene) -> None:
    async with asyncio.timeout(90.0):
        while not (await scene.upstream.order("counters"))["attached"]:
            await asyncio.sleep(0.05)


async def _fail_over(scene: Scene, number: int) -> None:
    await scene.store().fail_over()
    await scene.service.ready()


async def stop_redis(scene: Scene, seconds: float) -> None:
    """All of Redis stands still for a while."""
    servers = [server.process for server in scene.store().servers]
    for server in servers:
        assert server is not None
        server.send_signal(signal.SIGSTOP)
    try:
        await asyncio.sleep(seconds)
    finally:
        for server in servers:
            assert server is not None
            server.send_signal(signal.SIGCONT)
    await scene.service.ready()


async def _blink(scene: Scene, number: int) -> None:
    await stop_redis(scene, 3.0)


async def _away(scene: Scene, number: int) -> None:
    await stop_redis(scene, 60.0)


#: Of one process that does all.
KILL_PROCESS = Fault("kill-process", _kill_node, may_duplicate=True, may_vanish=True)
STOP_PROCESS = Fault("stop-process", _stop)
ROLL_PROCESS = Fault("roll-process", _roll_all)
#: Of nodes and front-ends.
KILL_NODE = Fault("kill-node", _kill_node, p99_ms=7000.0)
KILL_FRONT = Fault("kill-front", _kill_front, may_duplicate=True, may_vanish=True)
# A stopped front-end is kicked by the next one with its buffers full: what it had read and not handed over is gone.
STOP = Fault("stop", _stop, may_duplicate=True, may_vanish=True)
CUT_REDIS = Fault("cut-redis", _cut_redis)
CUT_FRONT = Fault("cut-front", _cut_front, may_duplicate=True)
ROLL = Fault("roll", _roll_all, p99_ms=500.0)
# With both versions in place, to the newer one and back. Copies: older front-ends close streams behind barriers that they
# did not wait for to the end, and what these had not acknowledged is sent again.
UPGRADE = Fault("upgrade", _upgrade, may_duplicate=True)
#: Of the server.
CUT_STREAM = Fault("cut-stream", _cut_stream, may_duplicate=True, may_vanish=True)
STALL_STREAM = Fault("stall-stream", _stall_stream, may_duplicate=True, may_vanish=True)
#: Of Redis.
FAIL_OVER = Fault("fail-over", _fail_over, patience=180.0)
REDIS_BLINKS = Fault("redis-3s", _blink)
REDIS_AWAY = Fault("redis-60s", _away)
