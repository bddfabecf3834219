"""What outlives a restart, a reload and a lost connection; and what a hostile client or service cannot do."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

import pytest
from harness.stanza import DISCO_INFO, MIX, tag, text
from pam_people import PAM, ROSTER, MixService, Person, error, fresh_id, item
from pam_world import HOST, World

SM = "urn:xmpp:sm:3"
MANY = 200
OwnWorld = Callable[..., Awaitable[World]]


async def gets(mix: MixService, person: Person) -> bool:
    sent = await mix.groupchat(person.bare)
    return sent in [s.id for s in await mix.all_sent_to(person)]


async def test_mix_pams_11_joined_channels_outlive_a_restart_of_prosody(own_world: OwnWorld) -> None:
    """covers: MIX-PAMS-12, MIX-PAMS-16, MIX-PAMS-20, MIX-PAMS-21"""
    world = await own_world()
    mix, alice = await world.service(), await world.online("alice")
    channel = await mix.has_joined(alice, None, "p9")
    left = await mix.has_joined(alice, mix.channel("left"))
    leaving = await alice.ask_leave(left)
    await mix.accept_leave(alice.bare)
    assert (await alice.answer_to(leaving)).type == "result"
    await world.end()
    await world.server.kill()
    await world.server.start()
    mix, alice = await world.service(), await world.person("alice")
    roster = await alice.roster(annotate=True)
    assert item(roster, channel) == {"jid": channel, "subscription": "from", "participant-id": "p9"}
    assert item(roster, left) is None
    await mix.groupchat(alice.bare)  # nobody online: no bounce
    await alice.appear()
    arrived = [await mix.expect(lambda s: True) for _ in range(2)]
    assert {(s.kind, s.sender, s.to) for s in arrived} == {
        ("presence", alice.jid, channel),
        ("presence", alice.bare, channel),
    }
    assert await gets(mix, alice)
    await mix.groupchat(alice.bare, sender=left + "/x")
    assert (await mix.expect(lambda s: s.kind == "message")).error == ("service-unavailable", "cancel")


async def test_mix_pams_09_a_reload_loses_no_request_and_no_session(own_world: OwnWorld) -> None:
    """covers: MIX-PAMS-14, MIX-PAMS-15, MIX-PAMS-21"""
    world = await own_world(timeout=20)
    mix, alice = await world.service(), await world.online("alice")
    late = await world.person("alice", "late", answers=False)
    await alice.roster(annotate=True)
    channel = await mix.has_joined(alice, None, "p1")
    await late.send(tag("presence"))
    question = await late.expect(lambda s: s.type == "get" and s.has("info:query"))
    waiting, never = await alice.ask_join(mix.channel("slow")), await alice.ask_join(mix.channel("never"))
    slow = await mix.expect(lambda s: s.to == mix.channel("slow"))
    held = await mix.groupchat(alice.bare)

    assert "OK" in await world.shell(f'module:reload("mix_pam", "{HOST}")')

    await mix.reply(slow, tag("join", xmlns=MIX, id_="p2"))
    assert (await alice.answer_to(waiting)).type == "result"
    pushed = [s for s in alice.inbox.take_all(lambda s: s.type == "set") if item(s, mix.channel("slow"))]
    assert (item(pushed[0], mix.channel("slow")) or {})["participant-id"] == "p2"
    await late.answer_features(question)
    assert held in [s.id for s in await mix.all_sent_to(late)]
    assert await gets(mix, alice) and await gets(mix, late)
    assert item(await alice.roster(), channel) == {"jid": channel, "subscription": "from"}
    assert (await alice.answer_to(never)).error == ("remote-server-timeout", "wait")
    await alice.send(tag("presence", type_="unavailable"))
    assert (await mix.expect(lambda s: s.type == "unavailable")).sender == alice.jid


async def test_mix_pams_09_unloading_answers_what_waits_and_loading_learns_anew(own_world: OwnWorld) -> None:
    """covers: MIX-PAMS-14"""
    world = await own_world()
    mix, alice = await world.service(), await world.online("alice")
    await mix.has_joined(alice)
    waiting = await alice.ask_join(mix.channel("slow"))
    await mix.request_of(alice.bare, "join")
    assert "OK" in await world.shell(f'module:unload("mix_pam", "{HOST}")')
    assert (await alice.answer_to(waiting)).error == ("internal-server-error", "wait")
    assert not await gets(mix, alice)
    await alice.settle()
    assert "OK" in await world.shell(f'module:load("mix_pam", "{HOST}")')
    await alice.settle()
    assert await gets(mix, alice)


async def resumable(person: Person) -> str:
    """Enables stream management; returns the resumption id."""
    await person.send(tag("enable", xmlns=SM, resume="true"))
    enabled = await person.expect(lambda s: s.kind == "enabled", what="enabled")
    return enabled.element.attrib["id"]


async def resume(person: Person, world: World, token: str) -> Person:
    """A new connection that takes over the session; it starts as the old one was."""
    back = await Person.reconnect(person.account, person.jid)
    world.open.append(back)
    await back.send(tag("resume", xmlns=SM, h="0", previd=token))
    await back.expect(lambda s: s.kind == "resumed", what="resumed")
    return back


async def test_mix_pams_21_a_resumed_session_is_served_as_before(world: World, mix: MixService) -> None:
    """covers: MIX-PAMS-16"""
    alice = await world.online(world.fresh())
    token = await resumable(alice)
    await alice.roster(annotate=True)
    channel = await mix.has_joined(alice)
    await alice.cut()
    missed = await mix.groupchat(alice.bare, "while away")
    back = await resume(alice, world, token)
    assert (await back.expect(lambda s: s.id == missed)).body == "while away"
    await back.request("", tag("query", tag("item", jid=channel, name_="Coven"), xmlns=ROSTER), "set")
    pushed = await back.expect(lambda s: (item(s, channel) or {}).get("name") == "Coven")
    assert (item(pushed, channel) or {})["participant-id"] == "p1"
    assert await gets(mix, back)


async def test_mix_pams_16_what_a_lost_session_did_not_acknowledge_is_not_bounced(own_world: OwnWorld) -> None:
    world = await own_world("smacks_hibernation_time = 1")
    mix, alice = await world.service(), await world.online("alice")
    await resumable(alice)
    channel = await mix.has_joined(alice)
    await mix.all_received(alice)
    await alice.cut()
    await mix.groupchat(alice.bare)
    await mix.event(alice.bare)
    room = tag(
        "message", text("body", "a MUC's"), type_="groupchat", id_="muc", from_=channel + "/muc nick", to=alice.jid
    )
    await mix.send(room)
    gone = await mix.expect(lambda s: s.type == "unavailable")
    assert gone.sender == alice.jid
    again = await world.online("alice", "again")
    bounced = [s for s in await mix.all_received(again) if s.type == "error"]
    assert [s.id for s in bounced] == ["muc"]  # MUC learns by it that the occupant is gone
    assert [s for s in again.inbox.take_all() if s.kind == "message"] == []


async def test_mix_pams_23_blocking_one_channel_does_not_block_another(world: World, mix: MixService) -> None:
    alice = await world.online(world.fresh())
    channel = await mix.has_joined(alice)

    async def change(action: str, jid: str) -> None:
        answer = await alice.request("", tag(action, tag("item", jid=jid), xmlns="urn:xmpp:blocking"), "set")
        assert answer.type == "result"

    async def heard() -> int:
        await mix.groupchat(alice.bare)
        await mix.presence(alice.bare)  # from an encoded JID
        return len(await mix.all_sent_to(alice))

    await change("block", mix.channel("heath"))
    assert await heard() == 2
    await change("block", channel)
    await mix.groupchat(alice.bare)
    assert await mix.all_sent_to(alice) == []
    await change("unblock", channel)
    assert await heard() == 2


async def test_mix_pams_10_a_blocked_channel_can_be_left(world: World, mix: MixService) -> None:
    alice = await world.online(world.fresh())
    channel = await mix.has_joined(alice)
    await alice.request("", tag("block", tag("item", jid=channel), xmlns="urn:xmpp:blocking"), "set")
    leaving = await alice.ask_leave(channel)
    await mix.accept_leave(alice.bare)
    assert (await alice.answer_to(leaving)).type == "result"
    assert item(await alice.roster(), channel) is None


@pytest.mark.parametrize("store", ["mix_pam", "roster"])
async def test_mix_pams_11_a_join_that_cannot_be_stored_is_refused_and_taken_back(
    own_world: OwnWorld, store: str
) -> None:
    world = await own_world()
    mix, alice = await world.service(), await world.online("alice")
    stores = world.server.folder / "data" / "shakespeare%2eexample"
    assert stores.is_dir()
    (stores / store).write_text("no folder, so that nothing can be stored in it")
    joining = await alice.ask_join(mix.channel())
    await mix.accept_join(alice.bare)
    assert (await alice.answer_to(joining)).error == ("internal-server-error", "wait")
    await mix.request_of(alice.bare, "leave")
    assert item(await alice.roster(), mix.channel()) is None
    assert not await gets(mix, alice)


async def test_mix_pams_11_account_with_many_channels(own_world: OwnWorld) -> None:
    """covers: MIX-PAMS-15, MIX-PAMS-20. One login is served even with many channels."""
    world = await own_world(max_channels=MANY)
    mix, alice = await world.service(), await world.online("alice")
    names = [mix.channel(f"channel{n}") for n in range(MANY)]
    for start in range(0, len(names), 10):
        ids = [await alice.ask_join(name) for name in names[start : start + 10]]
        for _ in ids:
            await mix.accept_join(alice.bare)
        for id_ in ids:
            assert (await alice.answer_to(id_)).type == "result"
    await alice.close()
    await mix.expect(lambda s: s.type == "unavailable" and s.to == names[-1])
    mix.inbox.take_all()
    alice = await world.online("alice", "again")
    roster = await alice.roster(annotate=True)
    assert len(roster.all("roster:query/roster:item/annotate:channel")) == MANY
    shown = await mix.all_received(alice)
    assert len([s for s in shown if s.sender == alice.jid and s.kind == "presence"]) == MANY
    assert len([s for s in shown if s.sender == alice.bare]) == MANY


@pytest.mark.parametrize(
    "payload",
    [
        tag("client-join", xmlns=PAM),
        tag("client-leave", xmlns=PAM),
        tag("client-leave", tag("leave", xmlns=MIX), xmlns=PAM, channel="\U0001f9d9@@"),
        tag(
            "client-join",
            tag("join", tag("x", tag("field"), xmlns="jabber:x:data"), xmlns=MIX),
            xmlns=PAM,
            channel="a@b/c",
        ),
        tag("client-join", text("join", "text"), xmlns=PAM, channel="coven@mix.example"),
        tag("client-nothing", xmlns=PAM),
    ],
)
async def test_mix_pams_05_whatever_is_asked_is_answered_with_an_error(
    world: World, mix: MixService, payload: str
) -> None:
    alice = await world.online(world.fresh())
    for type_ in ("get", "set"):
        assert (await alice.request("", payload, type_)).type == "error"
    assert await mix.all_received(alice) == []


async def test_mix_pams_17_hostile_service_gets_nothing_by_stray_answers(world: World, mix: MixService) -> None:
    """No roster item, no stanza to a client, and no Lua error: fixture `world` looks for these."""
    alice, evil = await world.online(world.fresh()), await world.service("evil.example")
    channel, join = evil.channel(), tag("join", xmlns=MIX, id_="p1")
    for type_, content in (("result", join), ("result", ""), ("error", ""), ("error", error("conflict", "cancel"))):
        await evil.send(tag("iq", content, type_=type_, id_=fresh_id(), from_=channel, to=alice.bare))
    for content in ("", tag("event", xmlns="http://jabber.org/protocol/pubsub#event"), tag("mix", xmlns=MIX)):
        await evil.send(tag("message", content, type_="groupchat", from_=channel, to=alice.bare))
    await evil.send(tag("message", type_="groupchat", from_=channel, to="nobody@" + HOST))
    await evil.send(tag("message", type_="groupchat", from_=channel, to=HOST))
    for type_ in ("probe", "unsubscribe", "nonsense"):
        await evil.send(tag("presence", type_=type_, from_=f"#{channel}", to=alice.bare))
    assert await evil.all_sent_to(alice) == []
    assert (await alice.roster()).all("roster:query/roster:item") == []


async def test_mix_pams_17_hostile_channel_that_was_joined_stays_in_its_place(world: World, mix: MixService) -> None:
    """It reaches MIX sessions only, sees presence of MIX sessions only, and cannot change the roster."""
    user = world.fresh()
    evil, alice = await world.service("evil.example"), await world.online(user)
    muc = await world.online(user, "muc", mix=False)
    channel = await evil.has_joined(alice, None, 'x\' y="<&>"'.replace("<", "&lt;"))
    await mix.has_joined(alice)
    await evil.all_received(alice)
    await evil.groupchat(alice.bare, "spam" * 5000)
    for type_ in ("probe", None, "unavailable", "error"):
        await evil.presence(alice.bare, sender=channel, type_=type_)
    await evil.send(
        tag(
            "iq",
            tag("query", tag("item", jid=mix.channel(), subscription="remove"), xmlns=ROSTER),
            type_="set",
            id_="r",
            from_=channel,
            to=alice.bare,
        )
    )
    assert (await evil.expect(lambda s: s.id == "r")).type == "error"
    assert await evil.all_sent_to(muc) == []
    assert [s.to for s in await evil.all_received(muc) if s.sender == muc.jid] == []
    assert item(await alice.roster(), mix.channel()) is not None
    assert (await alice.request(alice.bare, tag("query", xmlns=DISCO_INFO))).type == "result"


async def test_mix_pams_14_other_users_cannot_answer_for_a_client(world: World, mix: MixService) -> None:
    user = world.fresh()
    alice, victim = await world.online(user), await world.person(user, "victim", mix=False, answers=False)
    mallory = await world.online(world.fresh())
    await mix.has_joined(alice)
    await victim.send(tag("presence"))
    question = await victim.expect(lambda s: s.type == "get" and s.has("info:query"))
    assert re.fullmatch(r"[\w-]{10,}", question.id or "")
    listed = tag("query", tag("feature", var=MIX), xmlns=DISCO_INFO)
    await mallory.send(tag("iq", listed, type_="result", id_=question.id, to=alice.bare))
    await mallory.settle()
    assert not await gets(mix, victim)
    await victim.answer_features(question)
    assert not await gets(mix, victim)


async def test_mix_pams_10_two_resources_leave_at_once(world: World, mix: MixService) -> None:
    user = world.fresh()
    phone, laptop = await world.online(user, "phone"), await world.online(user, "laptop")
    channel = await mix.has_joined(phone)
    ids = [(c, await c.ask_leave(channel)) for c in (phone, laptop)]
    await mix.accept_leave(phone.bare)
    await mix.refuse(await mix.request_of(phone.bare, "leave"), error("item-not-found", "cancel"))
    for client, id_ in ids:
        assert (await client.answer_to(id_)).type == "result"
    assert item(await phone.roster(), channel) is None


async def test_mix_pams_09_client_that_leaves_before_the_answer_is_in_the_channel_still(
    world: World, mix: MixService
) -> None:
    """covers: MIX-PAMS-11"""
    alice = await world.online(world.fresh())
    await alice.ask_join(mix.channel())
    request = await mix.request_of(alice.bare, "join")
    await alice.close()
    await mix.reply(request, tag("join", xmlns=MIX, id_="p1"))
    back = await world.online(alice.account.user)
    assert (item(await back.roster(annotate=True), mix.channel()) or {})["participant-id"] == "p1"
    assert await gets(mix, back)
