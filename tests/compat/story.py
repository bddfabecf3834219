"""What happens in a sample, and what must be found in it by every later version.

Written so that old versions can be driven as well: only what the first of them could do.
"""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

from harness.coven import Config
from harness.mix import RawParticipant
from harness.muc import Occupant, read_whole_archive
from harness.prosody import Prosody
from harness.server import XmppServer
from harness.stanza import DATA, MUC_OWNER, tag, text

DOMAIN = "chat.localhost"
#: At rest, with a snapshot; used again since, so that it has a journal behind the snapshot; destroyed.
QUIET, LIVELY, GONE = (f"{name}@{DOMAIN}" for name in ("quiet", "lively", "gone"))
SUBJECT = "What was kept"
#: Who is in the lively room at the end, by user: nick.
STAYED = {"alice": "alice", "bob": "robert"}
MIX_USER, MIX_NICK = "dora", "dora"


@dataclasses.dataclass
class Expected:
    """What the newest version must find."""

    #: By room: id, sender and body of each archived message.
    archives: dict[str, list[list[str]]]

    def json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def config(server: XmppServer, store: dict[str, Any]) -> Config:
    """Few shards, and channels that leave memory soon."""
    made = Config.for_server(server)
    made.store = {"shards": 8, **store}
    made.more["node"] = {"idle-timeout": "1s"}
    return made


async def archive(reader: Occupant) -> list[list[str]]:
    """A room's archive: id, sender and body of each message."""
    found = []
    for result in await read_whole_archive(reader.client, reader.room):
        message = result.forwarded()
        assert message is not None, result
        found.append([str(result.get("mam:result", "id")), message.sender.partition("/")[2], message.body or ""])
    return found


async def tell(server: Prosody) -> Expected:
    """People meet; who is to stay is in the room at the end."""
    alice = Occupant(await server.login("alice"), QUIET, "alice")
    await _make(alice)
    for n in range(5):
        await alice.say(f"quiet {n}")
        await alice.hears(f"quiet {n}")
    await alice.leave()
    # Longer than the idle timeout and the round of who leaves memory.
    await asyncio.sleep(4.0)

    alice = Occupant(alice.client, LIVELY, "alice")
    await _make(alice)
    bob = Occupant(await server.login("bob"), LIVELY, "bob")
    carol = Occupant(await server.login("carol"), LIVELY, "carol")
    await bob.join()
    await carol.join()
    await alice.client.send(tag("message", text("subject", SUBJECT), to=LIVELY, type_="groupchat", id_="s1"))
    dora = await RawParticipant.come(await server.account(MIX_USER), LIVELY)
    await dora.join(MIX_NICK)
    for n in range(20):
        who = (alice, bob, carol)[n % 3]
        await who.say(f"lively {n}")
        await alice.hears(f"lively {n}")
    await dora.say("from a MIX client")
    await alice.hears("from a MIX client")
    await asyncio.sleep(4.0)

    await alice.client.send(tag("message", text("body", "between us"), to=bob.jid, type_="chat"))
    await bob.client.expect(lambda s: s.body == "between us")
    await bob.change_nick(STAYED["bob"])
    await bob.client.send(tag("presence", text("show", "away"), to=bob.jid))
    await carol.leave()
    for n in range(20, 30):
        await alice.say(f"lively {n}")
        await alice.hears(f"lively {n}")

    gone = Occupant(alice.client, GONE, "alice")
    await _make(gone)
    await gone.say("soon gone")
    await gone.hears("soon gone")
    destroyed = await gone.client.request(GONE, tag("query", tag("destroy"), xmlns=MUC_OWNER), "set")
    assert destroyed.type == "result", destroyed
    # Longer than acknowledgements take to be stored.
    await alice.settled()
    await bob.settled()
    await asyncio.sleep(2.0)
    quiet = Occupant(alice.client, QUIET, "alice")
    return Expected({QUIET: await archive(quiet), LIVELY: await archive(alice)})


async def _make(owner: Occupant) -> None:
    """A room that stays when nobody is in it."""
    await owner.join()
    field = tag("field", text("value", "1"), var="muc#roomconfig_persistentroom")
    kind = tag("field", text("value", "http://jabber.org/protocol/muc#roomconfig"), var="FORM_TYPE")
    form = tag("x", kind + field, xmlns=DATA, type="submit")
    answer = await owner.client.request(owner.room, tag("query", form, xmlns=MUC_OWNER), "set")
    assert answer.type == "result", answer
