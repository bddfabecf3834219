"""The MIX service on another server: the same as with a component, over s2s.

The two servers find each other without DNS, since their domains are loopback addresses (drawn anew for each run).
"""

from __future__ import annotations

import pathlib
import random
from collections.abc import AsyncIterator

import pytest
from harness.prosody import Prosody, ProsodyOptions
from harness.server import Component as ComponentOptions
from harness.stanza import tag
from pam_people import item
from pam_world import DOMAINS, HOST, World

S2S = """
s2s_interfaces = { "%s" }
s2s_require_encryption = false
VirtualHost "%s"
modules_enabled = { "s2s", "dialback", "mix_pam" }
Component "%s"
modules_enabled = { "s2s", "dialback" }
"""


def server(folder: pathlib.Path, host: str, component: str, address: str) -> Prosody:
    extra = S2S % (address, host, component)
    return Prosody(folder, ProsodyOptions(host=host, components=(ComponentOptions(component),), extra=extra))


@pytest.fixture
async def worlds(tmp_path: pathlib.Path) -> AsyncIterator[tuple[World, World]]:
    """(the users' server, the server of the MIX service)"""
    here, there = (f"127.{random.randint(1, 254)}.{random.randint(1, 254)}.{last}" for last in (2, 3))
    pair = (
        World(server(tmp_path / "a", here, DOMAINS[0], here), []),
        World(server(tmp_path / "b", HOST, there, there), []),
    )
    for world in pair:
        await world.server.start()
    yield pair
    for world in pair:
        await world.end()
        await world.server.stop()
        assert "Traceback" not in (log := world.log()), log


async def test_mix_pams_07_join_use_and_leave_a_channel_on_a_remote_server(worlds: tuple[World, World]) -> None:
    """covers: MIX-PAMS-06, MIX-PAMS-10, MIX-PAMS-11, MIX-PAMS-15, MIX-PAMS-16, MIX-PAMS-17, MIX-PAMS-19"""
    here, there = worlds
    alice, mix = await here.online("alice"), await there.service(there.server.options.components[0].domain)
    channel = await mix.has_joined(alice)
    assert (item(await alice.roster(annotate=True), channel) or {})["participant-id"] == "p1"
    shown = await mix.expect(lambda s: s.kind == "presence")
    assert (shown.sender, shown.to) == (alice.jid, channel)
    sent = [await mix.groupchat(alice.bare), await mix.event(alice.bare), await mix.presence(alice.bare)]
    assert [s.id for s in await mix.all_sent_to(alice)] == sent
    stray = await mix.groupchat(alice.bare, sender=mix.channel("other"))
    bounce = await mix.expect(lambda s: s.type == "error")
    assert (bounce.id, bounce.error) == (stray, ("service-unavailable", "cancel"))
    leaving = await alice.ask_leave(channel)
    await mix.accept_leave(alice.bare)
    assert (await alice.answer_to(leaving)).type == "result"
    assert item(await alice.roster(), channel) is None


async def test_mix_pams_09_remote_server_that_is_down_is_an_error(worlds: tuple[World, World]) -> None:
    here, there = worlds
    alice = await here.online("alice")
    await there.server.stop()
    channel = f"coven@{there.server.options.components[0].domain}"
    answer = await alice.answer_to(await alice.ask_join(channel))
    assert answer.type == "error" and (answer.error or ("",))[0].startswith("remote-server-")
    assert (await alice.request("", tag("query", xmlns="jabber:iq:roster"))).all("roster:query/roster:item") == []
