"""Upgrades: process by process from an older version to this one and back, and `coven admin finalize-upgrade` (I7).

For formats the versions are one binary with fail points: with `COVEN_FORMAT=2` it knows a format that it does not know without, in which
the event of a changed presence is another one.
"""

from __future__ import annotations

import asyncio
import os
import pathlib
from collections.abc import AsyncIterator

import pytest
from harness.cluster import Cluster
from harness.coven import Config, Coven
from harness.process import Process
from harness.prosody import Prosody, ProsodyOptions
from harness.redis import Redis
from harness.stanza import tag, text
from test_cluster_roles import People

NEWER = {"COVEN_FORMAT": "2"}

pytestmark = pytest.mark.timeout(300)


def binary() -> pathlib.Path:
    """The one with fail points."""
    path = os.environ.get("COVEN_FAILPOINT_BIN")
    if path is None:
        pytest.skip("COVEN_FAILPOINT_BIN names no binary with the feature fail-points")
    return pathlib.Path(path)


def older() -> pathlib.Path:
    """The first version with nodes and front-ends (`scripts/lib/older.sh`)."""
    path = os.environ.get("COVEN_OLDER_BIN")
    if not path:
        pytest.skip("COVEN_OLDER_BIN names no older version: is the whole history here?")
    return pathlib.Path(path)


@pytest.fixture
async def empty(tmp_path: pathlib.Path) -> AsyncIterator[Cluster]:
    """A cluster without processes."""
    redis = Redis(tmp_path / "redis")
    prosody = Prosody(tmp_path / "prosody", ProsodyOptions(component_conflict_resolve="kick_old"))
    cluster = Cluster(tmp_path, redis, prosody)
    await redis.start()
    await prosody.start()
    yield cluster
    await cluster.stop()
    await prosody.stop()
    await redis.stop()


@pytest.fixture
async def cluster(empty: Cluster) -> Cluster:
    """Two nodes and a front-end, all of the older version."""
    for role in ("node", "node", "front"):
        await empty.add(role, binary())
    await empty.ready()
    return empty


async def _become(process: Coven, env: dict[str, str], cluster: Cluster) -> None:
    assert await process.terminate() == 0
    process.env = env
    await process.start()
    await cluster.ready()


async def _refused_start(process: Coven, timeout: float = 60.0) -> str:
    """Starts a process that has to end by itself; what it says."""
    await process.start(ready=False)
    assert isinstance(process.process, Process)
    assert await process.process.exited(timeout) == 2, process.process.tail()
    return process.process.tail()


async def _change_presence(people: People, show: str) -> None:
    """Everybody changes it, and everybody sees all of that."""
    for who in people.all:
        await who.client.send(tag("presence", text("show", show), to=who.jid))
    for who in people.all:
        for other in people.all:
            await who.client.expect(
                lambda s, jid=other.jid: s.kind == "presence" and s.sender == jid and s.text("client:show") == show
            )


async def test_i7_il_32_a_format_is_written_only_when_all_read_it(cluster: Cluster) -> None:
    people = People(cluster)
    await people.gather()
    older, first = cluster.nodes
    (front,) = cluster.fronts
    await _become(first, NEWER, cluster)
    await _become(front, NEWER, cluster)

    # A node of the older version is there: refused, and it can read all that is written.
    code, why = await cluster.admin(front, "finalize-upgrade")
    assert code == 1 and "reads formats up to 1, not 2: upgrade it first" in why, why
    nodes = (await cluster.admin(front, "nodes"))[1]
    assert sorted(node["formats"] for node in nodes) == [1, 2]
    await _change_presence(people, "away")
    await _become(first, {}, cluster)
    await people.talk()
    await people.nobody_moved()

    await _become(first, NEWER, cluster)
    await _become(older, NEWER, cluster)
    assert await cluster.admin(front, "finalize-upgrade") == (0, {"format": 2, "before": 1})
    # What is written now is read by who takes over.
    async with asyncio.timeout(60.0):
        while not (await cluster.admin(front, "finalize-upgrade"))[1]["before"] == 2:
            await asyncio.sleep(0.05)
    await _change_presence(people, "xa")
    for node in cluster.nodes:
        await node.kill()
        await people.talk_on()
        await node.start()
        await cluster.ready()
    await people.nobody_moved()

    # No way back: an older process does not start, and says why.
    for process in (older, front):
        assert await process.terminate() == 0
        process.env = {}
        assert "its records are of format 2, this program reads formats up to 1" in await _refused_start(process)
        process.env = NEWER
        await process.start()
    await cluster.ready()
    await people.talk_on()
    await people.nothing_is_lost(twice=True)
    await people.close()


async def _still_in(people: People) -> None:
    """All are in, and nobody has seen anybody leave or come. While a channel moves the answer may be to ask again."""
    for who in people.all:
        async with asyncio.timeout(60.0):
            while (answer := await who.self_ping()).type == "error":
                assert answer.get("client:error", "type") == "wait", str(answer)
                await asyncio.sleep(0.2)
        presences = who.client.inbox.take_all(lambda s, who=who: s.kind == "presence" and who.from_room(s))
        assert presences == [], [str(s) for s in presences]


async def test_i7_i3_i6_all_processes_become_this_version_and_go_back(empty: Cluster) -> None:
    before = older()
    # The older version does not know that setting.
    empty.token = None
    for role in ("node", "node", "front", "front"):
        await empty.add(role, before)
    await empty.ready()
    people = People(empty)
    await people.gather()
    await people.talk()
    # Nodes and front-ends in turns, so that both versions speak to each other both ways.
    processes = [empty.nodes[0], empty.fronts[0], empty.nodes[1], empty.fronts[1]]
    for version in (None, before):
        for process in processes:
            # How an older version ends is past mending.
            ended, is_older = await process.terminate(), process.binary is not None
            assert is_older or ended == 0, ended
            process.binary = version
            await process.start()
            await empty.ready()
            await people.talk_on()
            await _still_in(people)
    await people.nothing_is_lost(twice=True)
    await people.close()


async def test_i7_one_process_writes_its_newest_format_at_once(tmp_path: pathlib.Path) -> None:
    prosody = Prosody(tmp_path / "prosody")
    redis = Redis(tmp_path / "redis")
    await prosody.start()
    await redis.start()
    for kind, url in (("file", "sqlite:coven.db"), ("redis", redis.url)):
        config = Config.for_server(prosody)
        config.store = {"url": url, "shards": 8}
        coven = Coven(tmp_path / kind, config)
        coven.binary = binary()
        for env in ({}, NEWER):
            coven.env = env
            await coven.start()
            assert await coven.terminate() == 0
        coven.env = {}
        assert "its records are of format 2, this program reads formats up to 1" in await _refused_start(coven)
    await prosody.stop()
    await redis.stop()
