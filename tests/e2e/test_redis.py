"""Coven on a store in Redis: a real `redis-server` with an append-only file, of the story's own."""

from __future__ import annotations

import pathlib
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from harness.client import Login
from harness.coven import Config, StartCoven
from harness.muc import Occupant, read_whole_archive
from harness.redis import Redis
from harness.server import XmppServer

ROOM = "coven@chat.localhost"

StartRedis = Callable[..., Awaitable[Redis]]


@pytest.fixture
async def start_redis(tmp_path: pathlib.Path) -> AsyncIterator[StartRedis]:
    """Starts servers with more options: `await start_redis("--maxmemory", "10mb")`."""
    if (why := Redis.missing()) is not None:
        pytest.fail(why)
    started: list[Redis] = []

    async def start(*more: str) -> Redis:
        redis = Redis(tmp_path / f"redis{len(started)}", *more)
        started.append(redis)
        await redis.start()
        return redis

    yield start
    for redis in started:
        await redis.stop()


@pytest.fixture
async def redis(start_redis: StartRedis) -> Redis:
    return await start_redis()


def on(redis: Redis, server: XmppServer, **store: object) -> Config:
    """A coven with its store in `redis`."""
    config = Config.for_server(server)
    config.store = {"url": redis.url, "shards": 64, **store}
    return config


async def test_i6_a_room_in_redis_survives_the_end_of_coven_and_of_redis(
    redis: Redis, server: XmppServer, start_coven: StartCoven, login: Login
) -> None:
    coven = await start_coven(on(redis, server))
    alice, bob = Occupant(await login("alice"), ROOM, "Alice"), Occupant(await login("bob"), ROOM, "Bob")
    await alice.create()
    await bob.join()
    await alice.say("before")
    await bob.hears("before")
    await coven.kill()
    await redis.kill()
    await redis.start()
    await coven.start()
    for n, who in enumerate((alice, bob)):
        assert (await who.self_ping()).type == "result"
        await who.say(f"after {n}")
        assert (await alice.hears(f"after {n}")).sender == who.jid
        assert (await bob.hears(f"after {n}")).sender == who.jid
    archive = await read_whole_archive(alice.client, ROOM)
    assert len(archive) == 3


@pytest.mark.parametrize(
    ("options", "store", "why"),
    [
        (["--maxmemory-policy", "allkeys-lru"], {}, "set maxmemory-policy to noeviction, not allkeys-lru"),
        ([], {"must-exist": True}, "must-exist = true"),
        ([], {"durability": "replica-fsync"}, "needs redis 7.2 or newer"),
        (["--requirepass", "x"], {}, "Authentication required"),
    ],
)
async def test_a_redis_that_does_not_fit_is_refused(
    start_redis: StartRedis,
    server: XmppServer,
    start_coven: StartCoven,
    options: list[str],
    store: dict[str, object],
    why: str,
) -> None:
    redis = await start_redis(*options)
    coven = await start_coven(on(redis, server, **store), ready=False)
    assert coven.process is not None
    assert await coven.process.exited(20.0) == 2
    assert why in coven.log()[-1]["message"]


async def test_a_redis_that_may_lose_data_is_warned_of(
    start_redis: StartRedis, server: XmppServer, start_coven: StartCoven
) -> None:
    careless = await start_redis("--appendonly", "no")
    coven = await start_coven(on(careless, server))
    warned = [line["message"] for line in coven.log() if line["level"] == "WARN"]
    assert len([line for line in warned if "maxmemory of this redis is 0" in line or "append-only" in line]) == 2


async def test_other_shards_or_another_prefix_are_another_store(
    redis: Redis, server: XmppServer, start_coven: StartCoven
) -> None:
    coven = await start_coven(on(redis, server))
    assert await coven.terminate() == 0
    coven.config.store["shards"] = 32
    await coven.start(ready=False)
    assert coven.process is not None
    assert await coven.process.exited(20.0) == 2
    assert "made with 64 shards, not 32" in coven.log()[-1]["message"]
    coven.config.store["prefix"] = "other"
    await coven.start()
    assert all(key.startswith(("coven", "other")) for key in await redis.ask("KEYS", "*"))


async def test_a_redis_that_comes_later_is_waited_for(redis: Redis, server: XmppServer, start_coven: StartCoven) -> None:
    await redis.stop()
    coven = await start_coven(on(redis, server), ready=False)
    await coven.event("store-down")
    assert (await coven.get("/livez"))[0] == 200
    status, body = await coven.get("/readyz")
    assert status == 503 and "store: " in body
    await redis.start()
    await coven.ready()
