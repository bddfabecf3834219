"""Fixtures of the tests of contrib/prosody/mod_mix_pam: a real Prosody, people, and MIX services as components."""

from __future__ import annotations

import pathlib
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))

from harness.prosody import Prosody
from pam_people import MixService
from pam_world import World, options


def pytest_configure() -> None:
    """SIGTERM ends the run as Ctrl-C does: fixtures stop what they started."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@pytest.fixture(scope="session")
async def prosody(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Prosody]:
    """A server that the tests share."""
    if (why := Prosody.missing()) is not None:
        pytest.fail(why)
    server = Prosody(tmp_path_factory.mktemp("prosody"), options())
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def world(prosody: Prosody) -> AsyncIterator[World]:
    """The shared server, without anybody connected; Lua errors that it logged meanwhile fail the test."""
    world = World(prosody, [])
    before = len(world.log())
    yield world
    await world.end()
    assert "Traceback" not in (log := world.log()[before:]), log


@pytest.fixture
async def own_world(tmp_path: pathlib.Path) -> AsyncIterator[Callable[..., Awaitable[World]]]:
    """Makes a server for one test alone, which may stop it; arguments are those of `options`."""
    made: list[World] = []

    async def start(extra: str = "", **limits: int) -> World:
        world = World(Prosody(tmp_path / f"prosody{len(made)}", options(extra, **limits)), [])
        made.append(world)
        await world.server.start()
        return world

    yield start
    for world in made:
        await world.end()
        await world.server.stop()
        assert "Traceback" not in (log := world.log()), log


@pytest.fixture
async def mix(world: World) -> MixService:
    """The MIX service `mix.example`."""
    return await world.service()
