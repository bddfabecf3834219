"""Fixtures of the end-to-end stories. How to write one: README.md."""

from __future__ import annotations

import os
import pathlib
import signal
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from harness import coven as coven_module
from harness.both import MakeSetting, Setting
from harness.client import Client, Login
from harness.coven import Config, Coven, Domain, StartCoven
from harness.ejabberd import Ejabberd
from harness.mix import Layout
from harness.prosody import Prosody
from harness.report import Report
from harness.server import XmppServer

SERVERS: dict[str, type[XmppServer]] = {"prosody": Prosody, "ejabberd": Ejabberd}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--server", choices=list(SERVERS), help="only stories on this server")


def pytest_configure() -> None:
    """SIGTERM ends the run as Ctrl-C does: fixtures stop what they started."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Stories that use coven are skipped where there is no binary; `COVEN_REQUIRED=1` makes that a failure."""
    why = coven_module.missing()
    if why is None or os.environ.get("COVEN_REQUIRED") == "1":
        return
    for item in items:
        if "coven_binary" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.skip(reason=why))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Runs whatever uses `server` on each of them."""
    if "server" in metafunc.fixturenames:
        only = metafunc.config.getoption("--server")
        metafunc.parametrize("server", [only] if only else list(SERVERS), indirect=True, scope="session")


_MEASURED: list[str] = []


@pytest.fixture
def report(request: pytest.FixtureRequest) -> Report:
    """Says what a story has measured or counted: printed at the end of the run, also when all is well."""

    def say(line: str) -> None:
        _MEASURED.append(f"{request.node.name}: {line}")

    return say


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Prints what stories have reported."""
    if _MEASURED:
        terminalreporter.section("measured")
        for line in _MEASURED:
            terminalreporter.write_line(line)


@pytest.fixture(scope="session")
async def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[XmppServer]:
    """A server that stories share: it stays up and keeps its accounts. Use it unless the story hurts the server."""
    kind = SERVERS[request.param]
    if (why := kind.missing()) is not None:
        pytest.fail(why)
    shared = kind(tmp_path_factory.mktemp(request.param))  # type: ignore[call-arg]
    await shared.start()
    yield shared
    await shared.stop()


@pytest.fixture
async def own_server(tmp_path: pathlib.Path) -> AsyncIterator[Callable[..., Any]]:
    """Makes servers for this story alone: `await own_server(Prosody, ProsodyOptions(...))`."""
    started: list[XmppServer] = []

    async def start(kind: type[XmppServer], options: Any = None) -> XmppServer:
        server = kind(tmp_path / f"{kind.name}{len(started)}", options)
        started.append(server)
        await server.start()
        return server

    yield start
    for server in started:
        await server.stop()


@pytest.fixture(scope="session")
def coven_binary() -> pathlib.Path:
    """The binary under test; a story that runs it without `coven` or `start_coven` asks for this."""
    return coven_module.binary()


@pytest.fixture
async def start_coven(tmp_path: pathlib.Path, coven_binary: pathlib.Path) -> AsyncIterator[StartCoven]:
    """Starts covens of any configuration: `await start_coven(Config.for_server(server, Domain(...)))`."""
    started: list[Coven] = []

    async def start(config: Config, ready: bool = True) -> Coven:
        coven = Coven(tmp_path / f"coven{len(started)}", config)
        started.append(coven)
        await coven.start(ready)
        return coven

    yield start
    for coven in started:
        await coven.stop()


@pytest.fixture
async def coven(server: XmppServer, start_coven: StartCoven) -> Coven:
    """A coven with an empty store that serves `chat.localhost` (both views) on the shared server."""
    return await start_coven(Config.for_server(server, Domain("chat.localhost")))


@pytest.fixture
async def login(server: XmppServer) -> AsyncIterator[Login]:
    """Logs users in on the shared server: `await login("alice", "phone")`; names are made unique per story."""
    clients: list[Client] = []
    names: dict[str, str] = {}

    async def connect(user: str, resource: str = "one") -> Client:
        name = names.setdefault(user, "") or server.fresh_name(user)
        names[user] = name
        clients.append(await server.login(name, resource))
        return clients[-1]

    yield connect
    for client in clients:
        await client.close()


@pytest.fixture
async def setting(own_server: Callable[..., Any], start_coven: StartCoven) -> AsyncIterator[MakeSetting]:
    """Makes a server with a coven behind it, for both views: `await setting(Prosody, ProsodyOptions(...), PAIR)`; further
    keys are those of each `[[upstream]]`."""
    made: list[Setting] = []

    async def make(kind: type[XmppServer], options: Any, layout: Layout, **upstream: Any) -> Setting:
        server = await own_server(kind, options)
        coven = await start_coven(Config.for_server(server, *layout.domains, **upstream))
        made.append(Setting(server, layout, coven))
        return made[-1]

    yield make
    for one in made:
        await one.close()
