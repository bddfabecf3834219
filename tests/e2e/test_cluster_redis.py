"""Redis in trouble under nodes and front-ends apart: what users are told, what stays, and who owns what afterwards."""

from __future__ import annotations

import asyncio
import pathlib
from collections.abc import AsyncIterator

import pytest
from harness.cluster import Cluster
from harness.coven import Coven
from harness.muc import Occupant
from harness.process import eventually
from harness.prosody import Prosody
from harness.redis import Redis
from test_redis import Talk

pytestmark = pytest.mark.timeout(240)

ROOM = "coven@chat.localhost"


@pytest.fixture
async def cluster(tmp_path: pathlib.Path, coven_binary: pathlib.Path) -> AsyncIterator[Cluster]:
    """Two nodes and a front-end."""
    redis, prosody = Redis(tmp_path / "redis"), Prosody(tmp_path / "prosody")
    cluster = Cluster(tmp_path, redis, prosody)
    await redis.start()
    await prosody.start()
    for role in ("node", "node", "front"):
        await cluster.add(role)
    await cluster.ready()
    yield cluster
    await cluster.stop()
    await prosody.stop()
    await redis.stop()


@pytest.fixture
async def people(cluster: Cluster) -> AsyncIterator[Talk]:
    """Three people in one room."""
    everybody = [Occupant(await cluster.prosody.login(name), ROOM, name) for name in ("alice", "bob", "carol")]
    await everybody[0].create()
    for person in everybody[1:]:
        await person.join()
    yield Talk(everybody)
    for person in everybody:
        await person.client.close()


async def one_owner_each(cluster: Cluster) -> None:
    """Each shard has an owner, and no two nodes say that they have the same one."""
    await cluster.ready()
    async with asyncio.timeout(60.0):
        while True:
            _, shards = await cluster.admin(cluster.nodes[0], "shards")
            _, nodes = await cluster.admin(cluster.nodes[0], "nodes")
            owned = isinstance(shards, list) and all(shard["owner"] for shard in shards)
            if owned and sum(node["shards"] for node in nodes) == len(shards) == cluster.shards:
                return
            await asyncio.sleep(0.2)


def conditions(people: Talk) -> set[str]:
    assert {kind for _, kind in people.errors.values()} <= {"wait"}
    return {condition for condition, _ in people.errors.values()}


async def red_but_alive(process: Coven) -> None:
    await process.not_ready()
    assert (await process.get("/livez"))[0] == 200


async def join_refused(cluster: Cluster, name: str, room: str) -> Occupant:
    """Somebody who is told to wait."""
    late = Occupant(await cluster.prosody.login(name), room, name)
    await late.send_join()
    refused = await late.client.expect(lambda s: s.kind == "presence" and s.type == "error", 60.0)
    assert (refused.error or ("", ""))[1] == "wait"
    return late


async def test_redis_stopped_for_three_seconds_is_not_noticed_by_users(cluster: Cluster, people: Talk) -> None:
    people.start(pause=0.1)
    await eventually(lambda: len(people.reflected) > 5, 30.0)
    cluster.redis.pause()
    await asyncio.sleep(3)
    cluster.redis.go_on()
    await people.stop()
    assert people.errors == {}
    await people.nothing_lost()


async def test_i1_i5_redis_stopped_for_longer_makes_everybody_wait_and_heals(cluster: Cluster, people: Talk) -> None:
    people.start(pause=0.2)
    await eventually(lambda: len(people.reflected) > 5, 30.0)
    cluster.redis.pause()
    for node in cluster.nodes:
        await red_but_alive(node)
    await eventually(lambda: "resource-constraint" in conditions(people), 60.0)
    cluster.redis.go_on()
    await one_owner_each(cluster)
    said = len(people.reflected)
    await eventually(lambda: len(people.reflected) > said + 5, 60.0)
    await people.stop()
    # What may have been done when Redis went is not known; all else did not happen.
    assert conditions(people) <= {"resource-constraint", "remote-server-timeout"}
    await people.nothing_lost()


async def test_redis_full_makes_everybody_wait_and_heals(cluster: Cluster, people: Talk) -> None:
    people.start(pause=0.2)
    await eventually(lambda: len(people.reflected) > 5, 30.0)
    await cluster.redis.ask("CONFIG", "SET", "maxmemory", "1")
    await eventually(lambda: len(people.errors) > 3, 60.0)
    late = await join_refused(cluster, "dora", ROOM)
    await cluster.redis.ask("CONFIG", "SET", "maxmemory", "0")
    await cluster.ready()
    said = len(people.reflected)
    await eventually(lambda: len(people.reflected) > said + 5, 60.0)
    await people.stop()
    assert conditions(people) <= {"resource-constraint", "remote-server-timeout"}
    await people.nothing_lost()
    await late.join()
    await late.client.close()


async def test_il_31_with_redis_emptied_no_room_gets_a_stranger_as_owner(cluster: Cluster, people: Talk) -> None:
    await cluster.redis.ask("FLUSHALL")
    for node in cluster.nodes:
        event = await node.event("store-replaced")
        assert event["level"] == "ERROR"
        await red_but_alive(node)
    for name, room in (("stranger", ROOM), ("other", "new@chat.localhost")):
        refused = await join_refused(cluster, name, room)
        await refused.client.close()
    # Accepted, it is a new store: the old room is nobody's any more, and whoever comes first makes a new one.
    for process in [*cluster.nodes, *cluster.fronts]:
        assert (await cluster.admin(process, "accept-store"))[0] == 0
    await cluster.ready()
    first = Occupant(await cluster.prosody.login("first"), "new@chat.localhost", "first")
    await first.create()
    await first.client.close()
