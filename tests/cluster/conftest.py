"""Fixtures of the fault stories. How to write one: README.md."""

from __future__ import annotations

import os
import pathlib
import signal
import sys
from collections.abc import AsyncIterator

import pytest

# Processes, configurations and reports are those of the end-to-end stories.
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))

from harness import coven as coven_module  # noqa: E402
from harness.report import Report  # noqa: E402
from rig.site import Site  # noqa: E402


def pytest_configure() -> None:
    """SIGTERM ends the run as Ctrl-C does: fixtures stop what they started."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Without binaries the stories are skipped; `COVEN_REQUIRED=1` makes that a failure."""
    why = coven_module.missing()
    if why is not None and os.environ.get("COVEN_REQUIRED") != "1":
        for item in items:
            item.add_marker(pytest.mark.skip(reason=why))


_MEASURED: list[str] = []


@pytest.fixture
def report(request: pytest.FixtureRequest) -> Report:
    """Says what a story has measured or counted: printed at the end of the run, also when all is well."""
    return lambda line: _MEASURED.append(f"{request.node.name}: {line}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Prints what stories have reported."""
    if _MEASURED:
        terminalreporter.section("measured")
        for line in _MEASURED:
            terminalreporter.write_line(line)


@pytest.fixture
async def site(tmp_path: pathlib.Path) -> AsyncIterator[Site]:
    """A place where processes are started; all of them are gone afterwards."""
    async with Site(tmp_path) as made:
        yield made
