"""What breaks around a room: connections, the server, coven's own start. The room and its people come through."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
from collections.abc import Callable
from typing import Any

import pytest
from harness.client import DEADLINE, Login
from harness.coven import Config, Coven, Domain, StartCoven
from harness.ejabberd import Ejabberd, EjabberdOptions
from harness.muc import Occupant
from harness.prosody import Prosody
from harness.server import XmppServer
from harness.stanza import PING, tag

ROOM = "coven@chat.localhost"


async def test_muc_leave_01_lost_connection_leaves_the_room(coven: Coven, login: Login) -> None:
    """The user's server says `unavailable` for a client that is gone."""
    alice, bob = Occupant(await login("alice"), ROOM, "Alice"), Occupant(await login("bob"), ROOM, "Bob")
    await alice.create()
    await bob.join()
    await alice.sees("Bob")
    await bob.client.cut()
    assert (await alice.sees("Bob", "unavailable")).role == "none"


async def test_muc_leave_10_muc_leave_12_sweep_finds_who_left_with_the_server(
    own_server: Callable[..., Any], start_coven: StartCoven
) -> None:
    """A killed server tells nobody who left; after the reconnect coven asks, and the ghosts go."""
    prosody = await own_server(Prosody)
    coven = await start_coven(Config.for_server(prosody))
    alice, bob = (
        Occupant(await prosody.login("alice"), ROOM, "Alice"),
        Occupant(await prosody.login("bob"), ROOM, "Bob"),
    )
    await alice.create()
    await bob.join()
    await prosody.kill()
    await coven.not_ready()
    await prosody.start()
    await coven.ready()
    back = Occupant(await prosody.login("alice", "back"), ROOM, "Alice")
    joined = await back.join()
    # Whether the sweep was faster than the join or not, Bob is gone in the end, for technical reasons.
    if "Bob" in {s.nick for s in joined.others}:
        gone = await back.sees("Bob", "unavailable")
        assert 333 in gone.codes and 307 not in gone.codes
    await back.client.close()


async def test_muc_comp_04_stanza_on_another_domains_stream_is_served(
    own_server: Callable[..., Any], start_coven: StartCoven
) -> None:
    """ejabberd with `global_routes: true` sends two domains' stanzas over both streams; dispatch goes by `to`."""
    ejabberd = await own_server(Ejabberd, EjabberdOptions(listeners="shared-global-routes"))
    await start_coven(Config.for_server(ejabberd, Domain("chat.localhost"), Domain("mix.localhost")))
    for domain in ("chat.localhost", "mix.localhost"):
        occupant = Occupant(await ejabberd.login("alice", domain), f"coven@{domain}", "Alice")
        await occupant.create()
        for n in range(10):
            await occupant.say(f"{domain} {n}")
        for n in range(10):
            assert (await occupant.hears(f"{domain} {n}")).sender == occupant.jid
        await occupant.client.close()


async def test_coven_waits_for_a_server_that_comes_later(
    own_server: Callable[..., Any], start_coven: StartCoven
) -> None:
    prosody = await own_server(Prosody)
    await prosody.stop()
    coven = await start_coven(Config.for_server(prosody), ready=False)
    await coven.not_ready()
    assert (await coven.get("/livez"))[0] == 200
    await prosody.start()
    await coven.ready()
    await coven.event("upstream-up")


@pytest.mark.parametrize("wrong", ["secret", "domain"])
async def test_coven_ends_with_2_when_no_server_wants_it(
    server: XmppServer, start_coven: StartCoven, wrong: str
) -> None:
    config = Config.for_server(server)
    if wrong == "secret":
        config.upstreams[0].secret = "wrong"
    else:
        config.domains[0].name = config.upstreams[0].domains[0] = "unknown.localhost"
    coven = await start_coven(config, ready=False)
    assert coven.process is not None
    assert await coven.process.exited(60.0) == 2


async def nobody_is_attached(alice: Occupant) -> None:
    """Waits until the server has noticed that nobody is: for a moment it gives what comes to nobody."""
    async with asyncio.timeout(DEADLINE):
        while True:
            with contextlib.suppress(AssertionError):
                ping = tag("ping", xmlns=PING)
                if (await alice.client.request("chat.localhost", ping, timeout=2.0)).type == "error":
                    return


async def test_a_message_to_a_stopped_coven_is_refused_by_the_server(coven: Coven, login: Login) -> None:
    alice = Occupant(await login("alice"), ROOM, "Alice")
    await alice.create()
    assert await coven.terminate() == 0
    await nobody_is_attached(alice)
    id_ = await alice.say("anybody?")
    bounce = await alice.client.expect(lambda s: s.kind == "message" and s.id == id_)
    assert bounce.type == "error"
    await coven.start()
    await alice.say("now?")
    assert (await alice.hears("now?")).sender == alice.jid


async def test_sigterm_without_a_server_is_no_reason_to_wait_or_to_warn(
    own_server: Callable[..., Any], start_coven: StartCoven
) -> None:
    """What is owed to a server that is away is kept for the next start."""
    prosody = await own_server(Prosody)
    coven = await start_coven(Config.for_server(prosody))
    alice = await prosody.login("alice")
    rooms = [Occupant(alice, f"r{n}@chat.localhost", "Alice") for n in range(5)]
    for room in rooms:
        await room.create()
    for room in rooms:
        await room.say("heard by nobody, perhaps")
    await prosody.kill()
    await coven.event("upstream-down")
    assert await coven.terminate() == 0
    lines = coven.log(after="draining")
    begin, end = (datetime.datetime.fromisoformat(lines[at]["timestamp"]) for at in (0, -1))
    # A stream would be waited for by 2 s for its barrier, then 5 s for its end.
    assert end - begin < datetime.timedelta(seconds=6)
    assert [line for line in lines if line["level"] in ("WARN", "ERROR")] == []
    assert [line["event"] for line in lines if "event" in line] == ["draining", "drained"]
