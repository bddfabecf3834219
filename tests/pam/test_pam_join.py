"""client-join and client-leave: what goes to the channel, what comes back, and what the roster shows.

MIX-PAMS-04 to -07, -09 to -13.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

import pytest
from harness.slix import SlixClient
from harness.stanza import MIX, Stanza, tag, text
from pam_people import ANON, NODES, PAM, MixService, Person, error, fresh_id, item, preference
from pam_world import HOST, MAX_CHANNELS, World

OwnWorld = Callable[..., Awaitable[World]]


async def test_mix_pams_04_join_is_for_the_own_account_only(world: World, mix: MixService) -> None:
    alice, bob = await world.online(world.fresh()), await world.online(world.fresh())
    join = tag("join", xmlns=MIX)
    stranger = await bob.ask_pam("join", mix.channel(), join, to=alice.bare)
    assert (await bob.answer_to(stranger)).error == ("forbidden", "auth")
    leave = await bob.ask_pam("leave", mix.channel(), tag("leave", xmlns=MIX), to=alice.bare)
    assert (await bob.answer_to(leave)).error == ("forbidden", "auth")
    from_service = await mix.request_as(alice.bare, tag("client-join", join, xmlns=PAM, channel=mix.channel()))
    assert from_service.error == ("forbidden", "auth")
    assert await mix.all_received(alice) == []
    for to in (None, alice.bare):
        id_ = await alice.ask_pam("join", mix.channel(), join, to=to)
        await mix.accept_join(alice.bare)
        assert (await alice.answer_to(id_)).type == "result"


@pytest.mark.parametrize(
    ("channel", "inner"),
    [
        (None, tag("join", xmlns=MIX)),
        ("", tag("join", xmlns=MIX)),
        ("coven@mix.example/resource", tag("join", xmlns=MIX)),
        ("mix.example", tag("join", xmlns=MIX)),
        ("p1#coven@mix.example", tag("join", xmlns=MIX)),
        ("co ven@mix.example", tag("join", xmlns=MIX)),
        ("@mix.example", tag("join", xmlns=MIX)),
        ("x" * 1100 + "@mix.example", tag("join", xmlns=MIX)),
        ("{own}", tag("join", xmlns=MIX)),
        ("coven@mix.example", ""),
        ("coven@mix.example", tag("join", xmlns="urn:xmpp:mix:core:0")),
        ("coven@mix.example", tag("leave", xmlns=MIX)),
        ("coven@mix.example", tag("join", xmlns=MIX) * 2),
    ],
    ids=[
        "missing",
        "empty",
        "full",
        "host",
        "encoded",
        "space",
        "no-node",
        "long",
        "own",
        "no-join",
        "core-0",
        "leave",
        "two",
    ],
)
async def test_mix_pams_05_malformed_join_is_bad_request(
    world: World, mix: MixService, channel: str | None, inner: str
) -> None:
    alice = await world.online(world.fresh())
    if channel == "{own}":
        channel = alice.bare
    id_ = fresh_id()
    await alice.send(tag("iq", tag("client-join", inner, xmlns=PAM, channel=channel), type_="set", id_=id_))
    answer = await alice.answer_to(id_)
    assert answer.error == ("bad-request", "modify")
    assert await mix.all_received(alice) == []


async def test_mix_pams_05_join_as_get_is_bad_request(world: World, mix: MixService) -> None:
    alice = await world.online(world.fresh())
    answer = await alice.request(
        "", tag("client-join", tag("join", xmlns=MIX), xmlns=PAM, channel=mix.channel()), "get"
    )
    assert answer.error == ("bad-request", "modify")
    assert await mix.all_received(alice) == []


async def test_mix_pams_06_join_goes_on_unchanged_from_the_bare_jid(world: World, mix: MixService) -> None:
    alice = await world.online(world.fresh())
    invitation = tag("invitation", text("token", "ABCDEF"), xmlns="urn:xmpp:mix:misc:0")
    content = text("nick", "third witch & co") + preference("share", vCard="block") + invitation
    id_ = await alice.ask_join("COVEN@mix.example", content)
    request = await mix.request_of(alice.bare, "join")
    assert (request.sender, request.to, request.id) == (alice.bare, "coven@mix.example", id_)
    assert len(request.element) == 1
    nodes = "".join(tag("subscribe", node=NODES + n) for n in ("messages", "participants", "info", "presence"))
    assert str(Stanza(request.element[0])) == str(Stanza.parse(tag("join", nodes + content, xmlns=MIX)))
    await mix.reply(request, tag("join", xmlns=MIX, id_="p1"))
    assert (await alice.answer_to(id_)).type == "result"


async def test_mix_pams_06_same_id_from_two_resources_gets_both_answered(world: World, mix: MixService) -> None:
    user = world.fresh()
    phone, laptop = await world.online(user, "phone"), await world.online(user, "laptop")
    join = tag("client-join", tag("join", xmlns=MIX), xmlns=PAM, channel=mix.channel())
    for client in (phone, laptop):
        await client.send(tag("iq", join, type_="set", id_="same"))
        await client.settle()
    ids = [(await mix.accept_join(phone.bare)).id for _ in range(2)]
    assert ids[0] == "same" != ids[1]
    for client in (phone, laptop):
        assert (await client.answer_to("same")).type == "result"


async def test_mix_pams_07_answer_wraps_the_channels_join(world: World, mix: MixService) -> None:
    alice = await world.online(world.fresh())
    id_ = await alice.ask_join(mix.channel(), text("nick", "witch"))
    granted = tag("subscribe", node=NODES + "messages") + text("nick", "witch")
    await mix.accept_join(alice.bare, "p42", granted)
    answer = await alice.answer_to(id_)
    assert (answer.type, answer.sender, answer.to) == ("result", alice.bare, alice.jid)
    wrapper = answer.find("pam:client-join")
    assert wrapper is not None and len(answer.element) == len(wrapper) == 1
    assert answer.get("pam:client-join/mix:join", "id") == "p42"
    assert answer.get("pam:client-join/mix:join/mix:subscribe", "node") == NODES + "messages"
    assert answer.text("pam:client-join/mix:join/mix:nick") == "witch"


async def test_mix_pams_07_slixmpp_joins_and_leaves(world: World, mix: MixService) -> None:
    """covers: MIX-PAMS-01, MIX-PAMS-10, MIX-PAMS-21"""
    client = await SlixClient.connect(await world.server.account(world.fresh()))
    try:
        plugin, bare = client.xmpp.plugin["xep_0405"], client.xmpp.boundjid.bare
        assert await plugin.check_server_capability()
        joining = client.xmpp.loop.create_task(
            plugin.join_channel(mix.channel(), "witch", {NODES + "messages", NODES + "info"})
        )
        await mix.accept_join(bare, "p7", tag("subscribe", node=NODES + "messages"))
        assert await joining == {NODES + "info"}
        _, channels = await plugin.get_mix_roster()
        assert [(str(c["jid"]), c["channel"]["participant-id"]) for c in channels] == [(mix.channel(), "p7")]
        await mix.groupchat(bare, "harpier cries")
        assert (await client.hears("harpier cries"))["mix"]["nick"] == "witch"
        leaving = client.xmpp.loop.create_task(plugin.leave_channel(mix.channel()))
        await mix.accept_leave(bare)
        assert (await leaving)["type"] == "result"
        assert (await plugin.get_mix_roster())[1] == []
    finally:
        await client.close()


async def test_mix_pams_09_error_of_the_channel_is_passed_on(world: World, mix: MixService) -> None:
    alice = await world.online(world.fresh())
    id_ = await alice.ask_join(mix.channel())
    refused = tag("join", tag("subscribe", node=NODES + "messages"), xmlns=MIX)
    await mix.refuse(
        await mix.request_of(alice.bare, "join"), error("not-allowed", "cancel", text("text", "no") + refused)
    )
    answer = await alice.answer_to(id_)
    assert (answer.type, answer.sender, answer.to) == ("error", alice.bare, alice.jid)
    assert answer.error == ("not-allowed", "cancel")
    assert answer.has("client:error/mix:join/mix:subscribe")
    assert item(await alice.roster(), mix.channel()) is None
    await mix.groupchat(alice.bare)
    assert await mix.all_sent_to(alice) == []


async def test_mix_pams_09_error_without_condition_is_an_error_still(world: World, mix: MixService) -> None:
    alice = await world.online(world.fresh())
    for broken in ("", tag("error"), tag("error", text("text", "what?"), type_="auth")):
        id_ = await alice.ask_join(mix.channel())
        await mix.refuse(await mix.request_of(alice.bare, "join"), broken)
        assert (await alice.answer_to(id_)).error == ("undefined-condition", "cancel")


async def test_mix_pams_09_result_without_join_is_an_error_and_taken_back(world: World, mix: MixService) -> None:
    alice = await world.online(world.fresh())
    id_ = await alice.ask_join(mix.channel())
    await mix.reply(await mix.request_of(alice.bare, "join"), "")
    assert (await alice.answer_to(id_)).error == ("undefined-condition", "cancel")
    await mix.request_of(alice.bare, "leave")
    assert item(await alice.roster(), mix.channel()) is None


async def test_mix_pams_09_silent_channel_is_remote_server_timeout(own_world: OwnWorld) -> None:
    timeout = 2
    world = await own_world(timeout=timeout)
    mix, alice = await world.service(), await world.online(world.fresh())
    started = time.monotonic()
    id_ = await alice.ask_join(mix.channel())
    request = await mix.request_of(alice.bare, "join")
    assert (await alice.answer_to(id_)).error == ("remote-server-timeout", "wait")
    assert time.monotonic() - started > timeout * 0.9
    # The client believes that it is not in, so the channel is told the same; a late answer changes nothing.
    await mix.request_of(alice.bare, "leave")
    await mix.reply(request, tag("join", xmlns=MIX, id_="p1"))
    await mix.groupchat(alice.bare)
    assert await mix.all_sent_to(alice) == []
    assert item(await alice.roster(), mix.channel()) is None


async def test_mix_pams_09_service_that_is_not_there_is_an_error(world: World) -> None:
    alice = await world.online(world.fresh())
    down = await alice.answer_to(await alice.ask_join("coven@evil.example"))
    assert down.error == ("remote-server-timeout", "wait")
    remote = await alice.answer_to(await alice.ask_join("coven@nowhere.invalid"))
    assert remote.type == "error" and remote.error != ("", "")
    local = await alice.answer_to(await alice.ask_join(f"nobody@{HOST}"))
    assert local.error == ("service-unavailable", "cancel")
    assert (await alice.roster()).all("roster:query/roster:item") == []


async def test_mix_pams_09_answer_of_somebody_else_does_not_count(world: World, mix: MixService) -> None:
    alice, evil = await world.online(world.fresh()), await world.service("evil.example")
    id_ = await alice.ask_join(mix.channel())
    request = await mix.request_of(alice.bare, "join")
    forged = tag("join", xmlns=MIX, id_="forged")
    await evil.send(tag("iq", forged, type_="result", id_=request.id, from_=evil.channel(), to=alice.bare))
    await mix.send(tag("iq", forged, type_="result", id_=request.id, from_="other@mix.example", to=alice.bare))
    assert await evil.all_sent_to(alice) == []
    await mix.reply(request, tag("join", xmlns=MIX, id_="right"))
    assert (await alice.answer_to(id_)).get("pam:client-join/mix:join", "id") == "right"
    assert item(await alice.roster(), evil.channel()) is None


async def leaves(alice: Person, mix: MixService, answer: str | None) -> Stanza:
    """client-leave, answered by the channel with success or with this error."""
    id_ = await alice.ask_leave(mix.channel())
    request = await mix.request_of(alice.bare, "leave")
    assert (request.to, request.id, len(request.element)) == (mix.channel(), id_, 1)
    if answer is None:
        await mix.reply(request, tag("leave", xmlns=MIX))
    else:
        await mix.refuse(request, answer)
    return await alice.answer_to(id_)


@pytest.mark.parametrize("answer", [None, error("item-not-found", "cancel")], ids=["result", "item-not-found"])
async def test_mix_pams_10_leave_removes_the_roster_item_then_answers(
    world: World, mix: MixService, answer: str | None
) -> None:
    """covers: MIX-PAMS-13"""
    alice = await world.online(world.fresh())
    channel = await mix.has_joined(alice)
    left = await leaves(alice, mix, answer)
    assert (left.type, left.sender, left.to) == ("result", alice.bare, alice.jid)
    assert left.has("pam:client-leave/mix:leave")
    pushes = [s for s in alice.inbox.history if s.get("roster:query/roster:item", "subscription") == "remove"]
    assert len(pushes) == 1 and alice.inbox.history.index(pushes[0]) < alice.inbox.history.index(left)
    assert item(await alice.roster(), channel) is None
    await mix.groupchat(alice.bare)
    assert await mix.all_sent_to(alice) == []


async def test_mix_pams_10_refused_leave_changes_nothing(world: World, mix: MixService) -> None:
    alice = await world.online(world.fresh())
    channel = await mix.has_joined(alice)
    assert (await leaves(alice, mix, error("internal-server-error", "wait"))).error == ("internal-server-error", "wait")
    assert item(await alice.roster(), channel) is not None
    sent = await mix.groupchat(alice.bare)
    assert [s.id for s in await mix.all_sent_to(alice)] == [sent]


async def test_mix_pams_10_leave_of_what_is_no_channel_keeps_the_contact(world: World, mix: MixService) -> None:
    alice = await world.online(world.fresh())
    await alice.request(
        "", tag("query", tag("item", jid=mix.channel(), name_="a friend"), xmlns="jabber:iq:roster"), "set"
    )
    assert (await leaves(alice, mix, None)).type == "result"
    assert (item(await alice.roster(), mix.channel()) or {}).get("name") == "a friend"


async def test_mix_pams_11_roster_is_pushed_to_interested_clients_before_the_answer(
    world: World, mix: MixService
) -> None:
    """covers: MIX-PAMS-12"""
    user = world.fresh()
    alice, tablet, idle = (
        await world.online(user),
        await world.online(user, "tablet", mix=False),
        await world.person(user, "idle"),
    )
    id_ = await alice.ask_join(mix.channel())
    await mix.accept_join(alice.bare)
    answer, push = await alice.answer_to(id_), await alice.push(mix.channel())
    assert alice.inbox.history.index(push) < alice.inbox.history.index(answer)
    assert item(push, mix.channel()) == {"jid": mix.channel(), "subscription": "from"}
    assert item(await tablet.push(mix.channel()), mix.channel()) == {"jid": mix.channel(), "subscription": "from"}
    await idle.settle()
    assert idle.inbox.take_all(lambda s: s.has("roster:query")) == []


async def test_mix_pams_11_a_contact_keeps_name_and_groups(world: World, mix: MixService) -> None:
    alice = await world.online(world.fresh())
    content = tag("item", text("group", "Covens"), jid=mix.channel(), name_="The coven")
    await alice.request("", tag("query", content, xmlns="jabber:iq:roster"), "set")
    await mix.has_joined(alice)
    roster = await alice.roster()
    assert item(roster, mix.channel()) == {"jid": mix.channel(), "subscription": "from", "name": "The coven"}
    assert roster.text("roster:query/roster:item/roster:group") == "Covens"


async def test_mix_pams_11_joining_again_is_answered_again(world: World, mix: MixService) -> None:
    alice = await world.online(world.fresh())
    await mix.has_joined(alice, None, "p1", preference("not share"))
    await mix.has_joined(alice, None, "p2")
    roster = await alice.roster(annotate=True)
    assert item(roster, mix.channel()) == {"jid": mix.channel(), "subscription": "none", "participant-id": "p2"}


async def change_preference(alice: Person, mix: MixService, value: str | None, answer: str | None) -> None:
    """The client sets its preferences at the channel itself; `answer` is the value in the channel's result."""
    id_ = fresh_id()
    body = tag("user-preference", preference(value, vCard="block"), xmlns=ANON)
    await alice.send(tag("iq", body, type_="set", id_=id_, to=mix.channel()))
    request = await mix.expect(lambda s: s.has("anon:user-preference"))
    await mix.reply(request, tag("user-preference", preference(answer, vCard="block"), xmlns=ANON))
    assert (await alice.answer_to(id_)).type == "result"


async def test_mix_pams_12_not_share_is_none_and_follows_changes(world: World, mix: MixService) -> None:
    alice = await world.online(world.fresh())
    channel = await mix.has_joined(alice, None, "p1", preference("not share"))
    assert (item(await alice.push(channel), channel) or {})["subscription"] == "none"
    assert [s for s in await mix.all_received(alice) if s.kind == "presence"] == []

    await change_preference(alice, mix, "share", "share")
    assert (item(await alice.push(channel), channel) or {})["subscription"] == "from"
    shown = await mix.expect(lambda s: s.kind == "presence")
    assert (shown.sender, shown.to, shown.type) == (alice.jid, channel, None)

    await change_preference(alice, mix, "Not Share", None)
    assert (item(await alice.push(channel), channel) or {})["subscription"] == "none"
    gone = await mix.expect(lambda s: s.kind == "presence")
    assert (gone.sender, gone.to, gone.type) == (alice.jid, channel, "unavailable")

    await change_preference(alice, mix, None, "share")  # another preference: presence was not asked for
    assert (item(await alice.roster(), channel) or {})["subscription"] == "none"


async def test_mix_pams_12_channel_may_only_turn_sharing_off(world: World, mix: MixService) -> None:
    alice = await world.online(world.fresh())
    id_ = await alice.ask_join(mix.channel(), preference("share"))
    await mix.accept_join(alice.bare, "p1", preference("not share"))
    assert (await alice.answer_to(id_)).type == "result"
    assert (item(await alice.roster(), mix.channel()) or {})["subscription"] == "none"
    for stray in ("never-asked", id_):
        forged = tag("user-preference", preference("share"), xmlns=ANON)
        await mix.send(tag("iq", forged, type_="result", id_=stray, from_=mix.channel(), to=alice.jid))
    await mix.all_sent_to(alice)
    assert (item(await alice.roster(), mix.channel()) or {})["subscription"] == "none"


async def test_mix_pams_12_only_the_answer_of_the_asked_channel_counts(world: World, mix: MixService) -> None:
    alice, evil = await world.online(world.fresh()), await world.service("evil.example")
    channels = [await service.has_joined(alice, None, "p1", preference("not share")) for service in (mix, evil)]
    answer = tag("user-preference", preference("share"), xmlns=ANON)
    await alice.send(tag("iq", answer, type_="set", id_="wish", to=mix.channel()))
    request = await mix.expect(lambda s: s.has("anon:user-preference"))
    await evil.send(tag("iq", answer, type_="result", id_="wish", from_=evil.channel(), to=alice.jid))
    await mix.send(tag("iq", answer, type_="result", id_="other", from_=mix.channel(), to=alice.jid))
    for service in (mix, evil):
        await service.all_sent_to(alice)
    await mix.refuse(request, error("not-acceptable", "modify"))
    await mix.reply(request, answer)  # too late
    await mix.all_sent_to(alice)
    roster = await alice.roster()
    assert [(item(roster, c) or {})["subscription"] for c in channels] == ["none", "none"]


async def test_mix_pams_13_deleting_the_roster_item_is_a_leave(world: World, mix: MixService) -> None:
    alice = await world.online(world.fresh())
    channel = await mix.has_joined(alice)
    removal = tag("query", tag("item", jid=channel, subscription="remove"), xmlns="jabber:iq:roster")
    assert (await alice.request("", removal, "set")).type == "result"
    request = await mix.request_of(alice.bare, "leave")
    assert request.to == channel
    await mix.reply(request, tag("leave", xmlns=MIX))
    await mix.groupchat(alice.bare)
    assert await mix.all_sent_to(alice) == []


async def test_mix_pams_24_removed_account_leaves_its_channels(world: World, mix: MixService) -> None:
    user = world.fresh()
    alice = await world.online(user)
    channels = {await mix.has_joined(alice, mix.channel(name)) for name in ("coven", "heath")}
    await alice.close()
    await world.shell(f'user:delete("{alice.bare}")')
    assert {(await mix.request_of(alice.bare, "leave")).to for _ in channels} == channels


async def test_limit_of_channels_is_resource_constraint(world: World, mix: MixService) -> None:
    alice = await world.online(world.fresh())
    for number in range(MAX_CHANNELS):
        await mix.has_joined(alice, mix.channel(f"c{number}"))
    one_more = await alice.answer_to(await alice.ask_join(mix.channel("more")))
    assert one_more.error == ("resource-constraint", "wait")
    await mix.has_joined(alice, mix.channel("c0"))  # again is not more


async def test_too_many_open_requests_are_refused(world: World, mix: MixService) -> None:
    alice = await world.online(world.fresh())
    ids = [await alice.ask_join(mix.channel(f"c{number}")) for number in range(17)]
    assert (await alice.answer_to(ids[-1])).error == ("resource-constraint", "wait")
    for _ in ids[:-1]:
        await mix.accept_join(alice.bare)
    for id_ in ids[:-1]:
        assert (await alice.answer_to(id_)).type == "result"
