"""Makes samples of what a version keeps: `make.py NAME`, with `COVEN_BIN` being that version. See README.md."""

from __future__ import annotations

import asyncio
import json
import pathlib
import sqlite3
import sys
import tempfile

_HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(_HERE.parent / "e2e"), str(_HERE)]

import dump  # noqa: E402
import story  # noqa: E402
from harness.coven import Coven  # noqa: E402
from harness.prosody import Prosody, ProsodyOptions  # noqa: E402
from harness.redis import Redis  # noqa: E402


async def make(name: str, folder: pathlib.Path) -> None:
    """A store of the version, as a crash leaves it."""
    kind = name.partition("-")[0]
    prosody = Prosody(folder / "prosody", ProsodyOptions(mix_pam=True))
    redis = Redis(folder / "redis")
    await prosody.start()
    await redis.start()
    url = "sqlite:coven.db" if kind == "sqlite" else redis.url
    coven = Coven(folder / "coven", story.config(prosody, {"url": url}))
    try:
        await coven.start()
        expected = await story.tell(prosody)
        await coven.kill()
        target = _HERE / "samples" / name
        target.mkdir(parents=True, exist_ok=True)
        if kind == "sqlite":
            _compact(folder / "coven" / "coven.db")
            (target / "coven.db").write_bytes((folder / "coven" / "coven.db").read_bytes())
        else:
            (target / "redis.jsonl").write_text(dump.dump(redis.port, b"coven{cluster}:session"))
        (target / "expected.json").write_text(json.dumps(expected.json(), indent=1) + "\n")
    finally:
        await coven.stop()
        await prosody.stop()
        await redis.stop()


def _compact(file: pathlib.Path) -> None:
    """All of it into one file."""
    with sqlite3.connect(file) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="coven-compat.") as folder:
        asyncio.run(make(sys.argv[1], pathlib.Path(folder)))


if __name__ == "__main__":
    main()
