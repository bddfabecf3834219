"""What reaches which session: messages and events of channels, the archive, roster annotations, discovery.

MIX-PAMS-01 to -03, -14, -16 to -18, -21.
"""

from __future__ import annotations

import pytest
from harness.stanza import DISCO_INFO, MAM, MIX, MUC_USER, Stanza, tag, text
from pam_people import ANNOTATE, PAM, ROSTER, MixService, Person, caps_hash, fresh_id, item
from pam_world import HOST, World

CARBONS = tag("enable", xmlns="urn:xmpp:carbons:2")


async def features_of(person: Person, to: str) -> set[str | None]:
    """The features that a disco#info request to this address finds."""
    answer = await person.request(to, tag("query", xmlns=DISCO_INFO))
    return {f.get("var") for f in answer.all("info:query/info:feature")}


async def test_mix_pams_01_account_lists_pam_to_its_own_clients(world: World) -> None:
    alice, bob = await world.online(world.fresh()), await world.online(world.fresh())
    assert PAM in await features_of(alice, "")
    assert PAM in await features_of(alice, alice.bare)
    assert PAM not in await features_of(bob, alice.bare)
    await alice.send(tag("presence", type_="subscribed", to=bob.bare))
    await bob.send(tag("presence", type_="subscribe", to=alice.bare))
    await bob.expect(lambda s: s.kind == "presence" and s.type == "subscribed")
    seen = await features_of(bob, alice.bare)
    assert MAM in seen and PAM not in seen


async def test_mix_pams_02_server_lists_pam(world: World) -> None:
    assert PAM in await features_of(await world.online(world.fresh()), HOST)


async def test_mix_pams_03_archive_is_listed_only_if_it_is_kept(world: World) -> None:
    alice = await world.online(world.fresh())
    assert PAM + "#archive" in await features_of(alice, alice.bare)
    await alice.request("", tag("prefs", tag("always") + tag("never"), xmlns=MAM, default="never"), "set")
    assert PAM + "#archive" not in await features_of(alice, alice.bare)
    await alice.request("", tag("prefs", tag("always") + tag("never"), xmlns=MAM, default="roster"), "set")
    assert PAM + "#archive" in await features_of(alice, alice.bare)


async def gets(mix: MixService, person: Person) -> bool:
    """Whether a groupchat copy reaches this session."""
    sent = await mix.groupchat(person.bare)
    return sent in [s.id for s in await mix.all_sent_to(person)]


async def test_mix_pams_14_clients_with_and_without_caps_are_asked(world: World, mix: MixService) -> None:
    user = world.fresh()
    caps, plain = await world.online(user, "caps"), await world.person(user, "plain")
    await plain.appear("")
    await mix.has_joined(caps)
    assert await gets(mix, caps)
    assert await gets(mix, plain)


async def test_mix_pams_14_client_without_mix_gets_nothing(world: World, mix: MixService) -> None:
    user = world.fresh()
    alice = await world.online(user)
    muc, silent = await world.online(user, "muc", mix=False), await world.person(user, "none", mix=False)
    await silent.appear("")
    await mix.has_joined(alice)
    for session in (muc, silent):
        assert not await gets(mix, session)
    assert await gets(mix, alice)


async def test_mix_pams_14_changed_caps_are_learnt(world: World, mix: MixService) -> None:
    """covers: MIX-PAMS-15"""
    alice = await world.online(world.fresh())
    channel = await mix.has_joined(alice)
    await mix.all_received(alice)
    speaks, alice.features = alice.features, ("urn:xmpp:ping",)
    await alice.appear()
    assert not await gets(mix, alice)
    # Once it is known that the client does not speak MIX, the channel sees it go.
    assert [(s.sender, s.type) for s in await mix.all_received(alice)][-1] == (alice.jid, "unavailable")
    alice.features = speaks
    await alice.appear()
    assert await gets(mix, alice)
    back = [s for s in await mix.all_received(alice) if s.kind == "presence"]
    assert (alice.jid, channel, None) in [(s.sender, s.to, s.type) for s in back]


async def test_mix_pams_14_hash_that_does_not_match_is_not_believed_again(world: World, mix: MixService) -> None:
    user = world.fresh()
    liar = await world.online(user, "liar", mix=False)
    await liar.appear(
        tag(
            "c", xmlns="http://jabber.org/protocol/caps", hash_="sha-1", node="n", ver=caps_hash(("urn:xmpp:ping", MIX))
        )
    )
    honest = await world.person(user, "honest")
    await honest.appear(
        tag("c", xmlns="http://jabber.org/protocol/caps", hash_="sha-1", node="n", ver=caps_hash(honest.features))
    )
    await mix.has_joined(honest)
    assert not await gets(mix, liar)
    assert await gets(mix, honest)
    assert not await gets(mix, liar)


async def test_mix_pams_14_known_caps_are_not_asked_for_again(world: World, mix: MixService) -> None:
    user = world.fresh()
    first = await world.online(user, "first")
    await mix.has_joined(first)
    second = await world.person(user, "second", answers=False)
    await second.appear()
    asked = [s for s in second.inbox.take_all(lambda s: s.has("info:query")) if s.id != "disco"]  # that is mod_pep's
    assert asked == []
    assert await gets(mix, second)


async def test_mix_pams_14_what_comes_while_the_client_is_asked_is_kept_for_it(world: World, mix: MixService) -> None:
    """covers: MIX-PAMS-16"""
    user = world.fresh()
    alice = await world.online(user)
    await mix.has_joined(alice)
    late, other = (
        await world.person(user, "late", answers=False),
        await world.person(user, "other", mix=False, answers=False),
    )
    questions = []
    for session in (late, other):
        await session.send(tag("presence"))
        questions.append(await session.expect(lambda s: s.type == "get" and s.has("info:query")))
    sent = [await mix.groupchat(alice.bare, f"n{n}") for n in range(3)]
    for session, question in zip((late, other), questions, strict=True):
        assert await mix.all_sent_to(session) == []
        await session.answer_features(question)
    assert [s.id for s in await mix.all_sent_to(late)] == sent
    assert await mix.all_sent_to(other) == []


async def test_mix_pams_14_client_that_never_answers_does_not_speak_mix(world: World, mix: MixService) -> None:
    user = world.fresh()
    alice, mute = await world.online(user), await world.person(user, "mute", answers=False)
    await mix.has_joined(alice)
    await mute.send(tag("presence"))
    question = await mute.expect(lambda s: s.type == "get" and s.has("info:query"))
    await mute.send(tag("iq", tag("error"), type_="error", id_=question.id, to=mute.bare))
    await mute.settle()
    assert not await gets(mix, mute)
    await mute.send(tag("presence"))  # asked again
    await mute.answer_features(await mute.expect(lambda s: s.type == "get" and s.has("info:query")))
    assert await gets(mix, mute)


async def test_mix_pams_16_each_mix_session_gets_a_copy_and_nobody_else(world: World, mix: MixService) -> None:
    user = world.fresh()
    phone, laptop = await world.online(user, "phone"), await world.person(user, "laptop")
    await laptop.appear(laptop.caps + text("priority", "-5") + text("show", "dnd"))
    muc, away = await world.online(user, "muc", mix=False), await world.person(user, "away")
    await muc.appear(muc.caps + text("priority", "-7"))  # carbons go to those below the top
    for session in (phone, laptop, muc, away):
        await session.request("", CARBONS, "set")
    await mix.has_joined(phone)
    extra = tag("stanza-id", xmlns="urn:xmpp:sid:0", by=mix.channel(), id_="a1") + text("thread", "t")
    sent = await mix.groupchat(phone.bare, "double, double", extra=extra)
    for session in (phone, laptop):
        (got,) = await mix.all_sent_to(session)
        assert (got.id, got.to, got.sender, got.type) == (sent, session.jid, mix.channel() + "/other", "groupchat")
        assert got.body == "double, double" and got.text("mix:mix/mix:nick") == "witch"
        assert got.stanza_id == "a1" and got.text("client:thread") == "t"
    for session in (muc, away):
        await session.settle()
        assert [s for s in session.inbox.take_all() if s.kind == "message"] == []


async def test_mix_pams_16_nobody_online_means_no_bounce_and_no_offline_message(world: World, mix: MixService) -> None:
    alice = await world.online(world.fresh())
    await mix.has_joined(alice)
    await alice.send(tag("presence", type_="unavailable"))
    await alice.settle()
    await mix.all_received(alice)
    await mix.groupchat(alice.bare)
    await mix.event(alice.bare)
    await mix.presence(alice.bare)
    assert await mix.all_received(alice) == []
    muc = await world.online(alice.account.user, "muc", mix=False)
    await alice.appear()
    for session in (alice, muc):
        assert [s for s in await mix.all_sent_to(session) if s.kind == "message"] == []


async def test_mix_pams_16_pubsub_events_go_to_mix_sessions_only(world: World, mix: MixService) -> None:
    user = world.fresh()
    alice, laptop, muc = (
        await world.online(user),
        await world.online(user, "laptop"),
        await world.online(user, "muc", mix=False),
    )
    await mix.has_joined(alice)
    sent = await mix.event(alice.bare)
    for session in (alice, laptop):
        (got,) = await mix.all_sent_to(session)
        assert (got.id, got.to, got.has("event:event/event:items/event:item")) == (sent, session.jid, True)
    assert await mix.all_sent_to(muc) == []


async def test_mix_pams_16_ordinary_messages_of_a_channel_take_the_ordinary_way(world: World, mix: MixService) -> None:
    user = world.fresh()
    muc = await world.online(user, "muc", mix=False)
    alice = await world.person(user)
    await alice.appear(alice.caps + text("priority", "-1"))
    await mix.has_joined(alice)
    private = tag(
        "message", text("body", "psst"), type_="chat", from_=f"p9#{mix.channel()}/res", to=alice.bare, id_=fresh_id()
    )
    await mix.send(private)
    invite = tag("x", tag("invite", from_="macbeth@shakespeare.example"), xmlns=MUC_USER)
    await mix.send(tag("message", invite, from_=mix.channel(), to=alice.bare, id_=fresh_id()))
    assert [s.body for s in await mix.all_sent_to(muc)] == ["psst", None]
    assert await mix.all_sent_to(alice) == []


async def test_mix_pams_16_muc_message_to_a_gone_resource_bounces_as_ever(world: World, mix: MixService) -> None:
    alice = await world.online(world.fresh())
    await mix.has_joined(alice)
    sent = await mix.groupchat(alice.bare + "/gone")
    bounce = await mix.expect(lambda s: s.type == "error")
    assert (bounce.id, bounce.error) == (sent, ("service-unavailable", "cancel"))
    assert await mix.all_sent_to(alice) == []


async def test_mix_pams_16_events_before_the_answer_to_the_join_are_delivered(world: World, mix: MixService) -> None:
    alice = await world.online(world.fresh())
    id_ = await alice.ask_join(mix.channel())
    request = await mix.request_of(alice.bare, "join")
    sent = [await mix.event(alice.bare), await mix.groupchat(alice.bare)]
    await mix.reply(request, tag("join", xmlns=MIX, id_="p1"))
    assert (await alice.answer_to(id_)).type == "result"
    assert [s.id for s in await mix.all_sent_to(alice)] == sent


async def test_mix_pams_17_channels_that_were_not_joined_are_bounced(world: World, mix: MixService) -> None:
    alice, evil = await world.online(world.fresh()), await world.service("evil.example")
    await mix.has_joined(alice)
    for service, sender in (
        (mix, "other@mix.example/x"),
        (evil, "coven@evil.example/x"),
        (evil, f"a#b#{evil.channel()}"),
        (mix, "mix.example"),
    ):
        sent = await service.groupchat(alice.bare, sender=sender)
        bounce = await service.expect(lambda s: s.type == "error")
        assert (bounce.id, bounce.error) == (sent, ("service-unavailable", "cancel"))
        assert await service.all_sent_to(alice) == []


async def test_mix_pams_17_encoded_jids_count_as_their_channel(world: World, mix: MixService) -> None:
    alice = await world.online(world.fresh())
    await mix.has_joined(alice)
    sent = [await mix.groupchat(alice.bare, sender=s + mix.channel()) for s in ("", "p9#", "#")]
    assert [s.id for s in await mix.all_sent_to(alice)] == sent[:2]
    assert (await mix.expect(lambda s: s.type == "error")).id == sent[2]
    sent = [
        await mix.groupchat(alice.bare, sender=f"p9#{mix.channel()}/res"),
        await mix.groupchat(alice.bare, sender="p#q#coven@mix.example"),
    ]
    assert [s.id for s in await mix.all_sent_to(alice)] == sent[:1]
    assert (await mix.expect(lambda s: s.type == "error")).id == sent[1]


async def archived(person: Person) -> list[tuple[str | None, Stanza | None]]:
    """(archive id, message) of all that the account's archive has."""
    fin = await person.request("", tag("query", xmlns=MAM), "set")
    assert fin.has("mam:fin")
    results = person.inbox.take_all(lambda s: s.has("mam:result"))
    return [(s.get("mam:result", "id"), s.forwarded()) for s in results]


async def test_mix_pams_18_each_copy_is_archived_once_under_the_id_that_clients_see(
    world: World, mix: MixService
) -> None:
    user = world.fresh()
    phone, laptop = await world.online(user, "phone"), await world.online(user, "laptop")
    muc = await world.online(user, "muc", mix=False)
    await muc.appear(muc.caps + text("priority", "-7"))
    for session in (phone, laptop, muc):
        await session.request("", CARBONS, "set")
    await mix.has_joined(phone)
    forged = tag("stanza-id", xmlns="urn:xmpp:sid:0", by=phone.bare, id_="forged")
    sent = await mix.groupchat(phone.bare, "fire burn", extra=forged)
    ids = set()
    for session in (phone, laptop):
        (got,) = await mix.all_sent_to(session)
        ids |= {s.get("id") for s in got.all("sid:stanza-id") if s.get("by") == phone.bare}
    assert await mix.all_sent_to(muc) == [] == [s for s in muc.inbox.history if s.kind == "message"]
    ((id_, message),) = await archived(phone)
    assert ids == {id_} and message is not None
    assert (message.id, message.sender, message.body) == (sent, mix.channel() + "/other", "fire burn")
    assert message.text("mix:mix/mix:nick") == "witch" and not message.has("sid:stanza-id")


async def test_mix_pams_18_archived_with_nobody_online_but_not_what_passes(world: World, mix: MixService) -> None:
    alice = await world.online(world.fresh())
    await mix.has_joined(alice)
    await alice.send(tag("presence", type_="unavailable"))
    await alice.settle()
    kept = [await mix.groupchat(alice.bare, "cauldron bubble")]
    reaction = tag("reactions", text("reaction", "!"), xmlns="urn:xmpp:reactions:0", id_="a1")
    mark, typing = tag("mix", xmlns=MIX), tag("composing", xmlns="http://jabber.org/protocol/chatstates")
    kept.append(fresh_id())
    for id_, content in ((kept[1], reaction), (fresh_id(), typing + text("thread", "t"))):
        await mix.send(
            tag("message", content + mark, type_="groupchat", from_=mix.channel() + "/o", to=alice.bare, id_=id_)
        )
    for hint in ("no-store", "no-permanent-store"):
        await mix.groupchat(alice.bare, "unheard", extra=tag(hint, xmlns="urn:xmpp:hints"))
    await mix.groupchat(alice.bare, "foreign", sender="other@mix.example/o")
    await mix.all_received(alice)
    assert [m.id for _, m in await archived(alice) if m is not None] == kept


async def test_mix_pams_18_switched_off_nothing_is_archived_nor_advertised(own_world) -> None:  # type: ignore[no-untyped-def]
    """covers: MIX-PAMS-03"""
    world = await own_world("mix_pam_archive = false")
    mix, alice = await world.service(), await world.online("alice")
    await mix.has_joined(alice)
    assert await gets(mix, alice)
    assert await archived(alice) == []
    listed = await features_of(alice, alice.bare)
    assert PAM in listed and PAM + "#archive" not in listed


async def test_mix_pams_21_annotations_only_for_who_asks(world: World, mix: MixService) -> None:
    user = world.fresh()
    alice, plain = await world.online(user), await world.online(user, "plain")
    await alice.request("", tag("query", tag("item", jid="friend@elsewhere.example"), xmlns=ROSTER), "set")
    channel = await mix.has_joined(alice, None, "p77")
    roster = await alice.roster(annotate=True)
    assert (item(roster, channel) or {})["participant-id"] == "p77"
    assert "participant-id" not in (item(roster, "friend@elsewhere.example") or {})
    assert "participant-id" not in (item(await plain.roster(), channel) or {})

    for session in (alice, plain):
        session.inbox.take_all()
    await alice.request("", tag("query", tag("item", jid=channel, name_="Coven"), xmlns=ROSTER), "set")
    assert item(await alice.push(channel), channel) == {
        "jid": channel, "name": "Coven", "subscription": "from", "participant-id": "p77",
    }  # fmt: skip
    assert "participant-id" not in (item(await plain.push(channel), channel) or {"participant-id": ""})

    assert "participant-id" not in (
        item(await alice.roster(), channel) or {"participant-id": ""}
    )  # asked without: reset
    await plain.request("", tag("query", tag("item", jid=channel, name_="Heath"), xmlns=ROSTER), "set")
    assert "participant-id" not in (item(await alice.push(channel), channel) or {"participant-id": ""})


async def test_mix_pams_21_push_of_a_new_channel_is_annotated(world: World, mix: MixService) -> None:
    alice = await world.person(world.fresh())
    await alice.roster(annotate=True)
    await alice.appear()
    channel = await mix.has_joined(alice, None, "p5")
    assert (item(await alice.push(channel), channel) or {})["participant-id"] == "p5"


async def test_mix_pams_21_a_cached_roster_is_sent_again_with_annotations(world: World, mix: MixService) -> None:
    alice = await world.online(world.fresh())
    channel = await mix.has_joined(alice)
    version = (await alice.roster()).get("roster:query", "ver")
    query = tag("query", tag("annotate", xmlns=ANNOTATE), xmlns=ROSTER, ver=version)
    assert (item(await alice.request("", query), channel) or {})["participant-id"] == "p1"
    unchanged = await alice.request("", tag("query", xmlns=ROSTER, ver=version))
    assert not unchanged.has("roster:query")


@pytest.mark.parametrize(("attributes", "expected"), [({"jid": "p3#coven@mix.example"}, "p3"), ({"jid": "x@y"}, None)])
async def test_mix_pams_21_participant_id_of_older_services(
    world: World, mix: MixService, attributes: dict[str, str], expected: str | None
) -> None:
    alice = await world.online(world.fresh())
    id_ = await alice.ask_join(mix.channel())
    await mix.reply(await mix.request_of(alice.bare, "join"), tag("join", xmlns=MIX, **attributes))
    assert (await alice.answer_to(id_)).type == "result"
    assert (item(await alice.roster(annotate=True), mix.channel()) or {}).get("participant-id") == expected
