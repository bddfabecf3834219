"""Several streams of one domain: a real ejabberd that deals them out by sender, and one that loses the order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from harness.coven import Config, Coven
from harness.ejabberd import Ejabberd, EjabberdOptions
from harness.muc import Occupant
from harness.report import Report

ROOM = "coven@chat.localhost"
STREAMS = 3
MESSAGES = 20
PEOPLE = 12


async def _numbers(coven: Coven, name: str) -> list[float]:
    """The samples of a metric."""
    lines = (await coven.get("/metrics"))[1].splitlines()
    return [float(line.split()[-1]) for line in lines if line.startswith(name)]


async def _talk(people: list[Occupant]) -> None:
    """Everybody says something in turn; everybody hears all of it, once."""
    for n in range(MESSAGES):
        body = f"message {n}"
        await people[n % len(people)].say(body)
        for who in people:
            await who.hears(body)


@pytest.mark.parametrize("balancing", [("bare_source", STREAMS), None], ids=["bare-source", "at-random"])
async def test_balanced_behind_ejabberd_order_is_kept_or_its_loss_is_said(
    own_server: Callable[..., Any], start_coven: Callable[..., Any], report: Report, balancing: tuple[str, int] | None
) -> None:
    ejabberd = await own_server(Ejabberd, EjabberdOptions(balancing=balancing))
    coven = await start_coven(Config.for_server(ejabberd, attach="balanced", connections=STREAMS))
    assert await _numbers(coven, "coven_connection_up{") == [1.0] * STREAMS
    people = []
    for n in range(PEOPLE):
        client = await ejabberd.login(f"user{n}")
        people.append(Occupant(client, ROOM, f"nick{n}"))
        await (people[-1].create() if n == 0 else people[-1].join())
    await _talk(people)
    written = await _numbers(coven, "coven_connection_written_bytes_total{")
    report(f"balanced, {balancing}: bytes written by stream {written}")
    assert sum(count > 2_000 for count in written) > 1, "people are spread over streams"
    if balancing:
        assert await _numbers(coven, "coven_front_reordered_total") == [0.0]
        return
    # Each stanza leaves by any stream: sooner or later one sender is heard on one, another, and the first again.
    for n in range(500):
        if await _numbers(coven, "coven_front_reordered_total") > [0.0]:
            break
        await people[0].say(f"again {n}")
        await people[0].hears(f"again {n}")
    assert await _numbers(coven, "coven_front_reordered_total") > [0.0]
