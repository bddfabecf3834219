"""What every version so far has kept is read by this one: the samples of `tests/compat` (design I7, §7)."""

from __future__ import annotations

import contextlib
import json
import pathlib
import shutil
import subprocess
import sys
from typing import Any

import pytest
from harness.coven import Coven
from harness.mix import RawParticipant
from harness.muc import Occupant
from harness.prosody import Prosody, ProsodyOptions
from harness.redis import Redis

_COMPAT = pathlib.Path(__file__).resolve().parents[1] / "compat"
sys.path.append(str(_COMPAT))

import dump  # noqa: E402
import story  # noqa: E402

SAMPLES = sorted(path for path in (_COMPAT / "samples").iterdir() if path.is_dir())


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.name)
async def test_i7_a_sample_of_every_format_is_read(
    sample: pathlib.Path, tmp_path: pathlib.Path, coven_binary: pathlib.Path
) -> None:
    async with contextlib.AsyncExitStack() as ends:
        await _read(sample, tmp_path, coven_binary, ends)


async def _read(
    sample: pathlib.Path, tmp_path: pathlib.Path, coven_binary: pathlib.Path, ends: contextlib.AsyncExitStack
) -> None:
    expected: dict[str, Any] = json.loads((sample / "expected.json").read_text())
    prosody = Prosody(tmp_path / "prosody", ProsodyOptions(mix_pam=True))
    redis = Redis(tmp_path / "redis")
    ends.push_async_callback(prosody.stop)
    await prosody.start()
    # Whoever is still in the room is there before coven is, as after a crash of it.
    people = {user: Occupant(await prosody.login(user), story.LIVELY, nick) for user, nick in story.STAYED.items()}
    for who in people.values():
        await who.client.send("<presence/>")
    config = story.config(prosody, {"url": "sqlite:coven.db"})
    config.more["archive"] = {"max-age": "forever"}
    folder = tmp_path / "coven"
    folder.mkdir()
    (folder / "coven.toml").write_text(config.toml())
    if (sample / "coven.db").exists():
        shutil.copy(sample / "coven.db", folder / "coven.db")
        checked = [coven_binary, "check-store", "--config", folder / "coven.toml"]
        subprocess.run(checked, check=True, capture_output=True, timeout=60)
    else:
        ends.push_async_callback(redis.stop)
        await redis.start()
        dump.restore(redis.port, (sample / "redis.jsonl").read_text())
        config.store["url"] = redis.url
    coven = Coven(folder, config)
    ends.push_async_callback(coven.stop)
    await coven.start()

    for who in people.values():
        assert (await who.self_ping()).type == "result"
    alice, bob = people["alice"], people["bob"]
    for room, kept in expected["archives"].items():
        assert await story.archive(Occupant(alice.client, room, "alice")) == kept
    assert len(expected["archives"][story.LIVELY]) >= 30
    # The state, and that it goes on from there.
    erin = Occupant(await prosody.login("erin"), story.LIVELY, "erin")
    joined = await erin.join()
    assert {s.nick for s in joined.others} >= set(story.STAYED.values())
    assert next(s.text("client:show") for s in joined.others if s.nick == story.STAYED["bob"]) == "away"
    assert joined.subject.text("client:subject") == story.SUBJECT
    dora = await RawParticipant.connect(await prosody.account(story.MIX_USER), "mix")
    assert isinstance(dora, RawParticipant)
    dora.channel = story.LIVELY
    assert story.MIX_NICK in (await dora.participants()).values()
    await bob.say("and on it goes")
    for who in (alice, bob, erin):
        await who.hears("and on it goes")
    # A room that was destroyed is not there; one that was at rest is.
    gone = Occupant(alice.client, story.GONE, "alice")
    assert 201 in (await gone.create()).self_presence.codes
    quiet = Occupant(erin.client, story.QUIET, "erin")
    back = await quiet.join()
    assert 201 not in back.self_presence.codes
    assert [s.body for s in back.history] == [f"quiet {n}" for n in range(5)]
    assert await coven.terminate() == 0
    for client in (*(who.client for who in people.values()), erin.client, dora):
        await client.close()
