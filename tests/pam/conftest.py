"""Fixtures of the tests of contrib/prosody/mod_mix_pam: a real Prosody, people, and MIX services as components."""

from __future__ import annotations

import asyncio
import dataclasses
import pathlib
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))

from harness.client import DEADLINE  # noqa: E402
from harness.prosody import Prosody, ProsodyOptions  # noqa: E402
from harness.server import Component as ComponentOptions  # noqa: E402
from pam_people import MIX, MixService, Person  # noqa: E402

HOST = "shakespeare.example"
DOMAINS = ("mix.example", "evil.example")
MODULES = ("blocklist", "mam", "offline", "smacks", "admin_shell", "mix_pam")
#: Short, so that the tests of time-outs are; everything else answers at once.
TIMEOUT = 2
MAX_CHANNELS = 30


def pytest_configure() -> None:
    """SIGTERM ends the run as Ctrl-C does: fixtures stop what they started."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def options(extra: str = "", timeout: int = TIMEOUT, max_channels: int = MAX_CHANNELS) -> ProsodyOptions:
    """Prosody with the module, and with the modules that it must get on with. An option may be set only once."""
    names = ", ".join(f'"{m}"' for m in MODULES)
    lines = [
        f"mix_pam_request_timeout = {timeout}",
        f"mix_pam_max_channels = {max_channels}",
        extra,
        f'VirtualHost "{HOST}"',
        f"modules_enabled = {{ {names} }}",
    ]
    return ProsodyOptions(host=HOST, components=tuple(ComponentOptions(d) for d in DOMAINS), extra="\n".join(lines))


@dataclasses.dataclass
class World:
    """One Prosody, and everybody who is connected to it."""

    server: Prosody
    open: list[Person | MixService]

    async def person(self, user: str, resource: str = "one", *, mix: bool = True, answers: bool = True) -> Person:
        """A client without presence. User names are used once per run: `fresh`."""
        features = ("urn:xmpp:ping", MIX) if mix else ("urn:xmpp:ping",)
        person = await Person.come(await self.server.account(user), resource, features, answers=answers)
        self.open.append(person)
        return person

    async def online(self, user: str, resource: str = "one", *, mix: bool = True) -> Person:
        """A client that has read its roster and is available."""
        person = await self.person(user, resource, mix=mix)
        await person.roster()
        await person.appear()
        return person

    def fresh(self, stem: str = "hecate") -> str:
        """A user name that this server has not seen."""
        return self.server.fresh_name(stem)

    async def service(self, domain: str = DOMAINS[0]) -> MixService:
        """The MIX service of this domain; an older connection of it is replaced."""
        service = await MixService.connect(self.server.component_port(domain), domain, self.server.secret(domain))
        self.open.append(service)
        return service

    async def shell(self, command: str) -> str:
        """Runs a command of Prosody's admin shell, such as `module:reload("mix_pam", "host")`."""
        config = self.server.folder / "prosody.cfg.lua"
        process = await asyncio.create_subprocess_exec(
            "prosodyctl", "--config", config, "shell", command,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        async with asyncio.timeout(DEADLINE):
            output, _ = await process.communicate()
        assert process.returncode == 0, output.decode()
        return output.decode()

    def log(self) -> str:
        """What Prosody has logged."""
        return (self.server.folder / "prosody.log").read_text(errors="replace")

    async def end(self) -> None:
        for stream in reversed(self.open):
            await stream.close()
        self.open.clear()


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
