"""The coven binary under test: its configuration as dataclasses, its process, its log."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import json
import os
import pathlib
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable
from typing import Any

from .process import Process, eventually, free_ports
from .server import XmppServer

_ROOT = pathlib.Path(__file__).resolve().parents[3]


def binary() -> pathlib.Path:
    """`COVEN_BIN`, else the debug binary in cargo's target folder."""
    target = os.environ.get("CARGO_TARGET_DIR") or os.path.expanduser("~/.cache/coven/target")
    return pathlib.Path(os.environ.get("COVEN_BIN") or pathlib.Path(_ROOT, target, "debug", "coven"))


@functools.cache
def missing() -> str | None:
    """Why stories about coven cannot run, or None. A binary that is there and fails is for stories to show."""
    if not binary().exists():
        return f"there is no {binary()}: build it, or set COVEN_BIN"
    asked = subprocess.run([binary(), "serve", "--help"], capture_output=True, text=True, check=False)
    cannot = "unrecognized subcommand" in asked.stderr or (asked.returncode == 0 and "--config" not in asked.stdout)
    return f"{binary()} has no `serve` yet" if cannot else None


@dataclasses.dataclass
class Domain:
    """A `[[domain]]`. `more` has keys that stories set rarely, under their names in the file."""

    name: str = "chat.localhost"
    protocols: list[str] = dataclasses.field(default_factory=lambda: ["muc", "mix"])
    admins: list[str] = dataclasses.field(default_factory=list)
    more: dict[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class Upstream:
    """An `[[upstream]]`."""

    address: str
    domains: list[str]
    secret: str
    more: dict[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class Config:
    """A configuration file. Limits on rates are off, since stories are faster than people."""

    upstreams: list[Upstream]
    domains: list[Domain] = dataclasses.field(default_factory=lambda: [Domain()])
    role: str = "all"
    store: dict[str, Any] = dataclasses.field(default_factory=lambda: {"url": "sqlite:coven.db"})
    http_port: int = 0
    limits: dict[str, Any] = dataclasses.field(default_factory=lambda: {"enabled": False})
    #: Keys and sections more, such as {"archive": {"max-count": 10}}.
    more: dict[str, Any] = dataclasses.field(default_factory=dict)

    @classmethod
    def for_server(cls, server: XmppServer, *domains: Domain, **upstream: Any) -> Config:
        """One upstream for each domain, as ejabberd needs it; `upstream` are further keys of each."""
        every = list(domains) or [Domain()]
        upstreams = [
            Upstream(f"127.0.0.1:{server.component_port(d.name)}", [d.name], server.secret(d.name), dict(upstream))
            for d in every
        ]
        return cls(upstreams, every)

    def toml(self) -> str:
        """The file's text."""
        sections: dict[str, Any] = {
            "role": self.role,
            "store": self.store,
            "http": {"listen": f"127.0.0.1:{self.http_port}"},
            "limits": self.limits,
            "log": {"format": "json"},
        }
        for name, keys in self.more.items():
            sections[name] = {**sections.get(name, {}), **keys}
        sections["domain"] = [_table(d) for d in self.domains]
        sections["upstream"] = [_table(u) for u in self.upstreams]
        return to_toml(sections)


class Coven:
    """One coven process with its own folder. The same object may be started again after its end."""

    def __init__(self, folder: pathlib.Path, config: Config) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.config = config
        self.process: Process | None = None
        #: Another binary than the usual one, such as one with fail points.
        self.binary: pathlib.Path | None = None
        #: More environment for the next start, such as a fail point.
        self.env: dict[str, str] = {}
        self._log = folder / "coven.log"
        self._begun = 0
        if config.http_port == 0:
            config.http_port = free_ports(1)[0]

    async def start(self, ready: bool = True, timeout: float = 120.0) -> None:
        """Starts the process; waits until it is ready unless told not to."""
        self._begun = self._log.stat().st_size if self._log.exists() else 0
        file = self.folder / "coven.toml"
        file.write_text(self.config.toml())
        self.process = Process(
            "coven",
            [self.binary or binary(), "serve", "--config", file],
            log=self._log,
            cwd=self.folder,
            env={"RUST_BACKTRACE": "1", **self.env},
        )
        if ready:
            await self.ready(timeout)

    async def ready(self, timeout: float = 120.0) -> None:
        """Waits until `/readyz` answers 200."""
        await self._until(200, timeout)

    async def not_ready(self, timeout: float = 120.0) -> None:
        """Waits until `/readyz` answers 503."""
        await self._until(503, timeout)

    async def _until(self, status: int, timeout: float) -> None:
        assert self.process is not None
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        last: tuple[int, str] = (0, "")
        while loop.time() < deadline:
            if self.process.exit_code is not None:
                raise AssertionError(f"coven ended with {self.process.exit_code}\n{self.process.tail()}")
            last = await self.get("/readyz")
            if last[0] == status:
                return
            await asyncio.sleep(0.05)
        raise AssertionError(f"/readyz is not {status} but {last} after {timeout} s\n{self.process.tail()}")

    async def get(self, path: str) -> tuple[int, str]:
        """An HTTP GET: (status, body), and (0, reason) while nothing answers."""
        return await asyncio.to_thread(_get, f"http://127.0.0.1:{self.config.http_port}{path}")

    def events(self) -> list[dict[str, Any]]:
        """The log lines with an `event` since the last start."""
        return [fields for fields in self.log() if "event" in fields]

    def warnings(self) -> list[dict[str, Any]]:
        """The warnings without an `event` since the last start, except those about the tests' own variables."""
        warned = [f for f in self.log() if f.get("level") == "WARN" and "event" not in f]
        return [fields for fields in warned if fields.get("target") != "coven::cli"]

    async def event(self, name: str, timeout: float = 120.0) -> dict[str, Any]:
        """Waits for a log line with this `event` since the last start; returns its fields."""

        def found() -> list[dict[str, Any]]:
            return [e for e in self.events() if e["event"] == name]

        await eventually(lambda: bool(found()), timeout, lambda: f"no event {name} in {self._log}: {self.events()}")
        return found()[0]

    async def kill(self) -> None:
        """SIGKILL."""
        assert self.process is not None
        await self.process.kill()

    def log(self, after: str | None = None) -> list[dict[str, Any]]:
        """The lines of the log since the last start, or since the last one with the event `after`, that one included."""
        # The last line may still be under way.
        whole, _, _ = self._log.read_bytes()[self._begun :].rpartition(b"\n")
        lines = [json.loads(line) for line in whole.splitlines()]
        begin = [at for at, line in enumerate(lines) if after is not None and line.get("event") == after]
        return lines[begin[-1] :] if begin else lines

    async def terminate(self) -> int:
        """SIGTERM; returns the exit code."""
        assert self.process is not None
        return await self.process.terminate(timeout=60.0)

    async def stop(self) -> None:
        """Ends it however it is; for the end of stories."""
        if self.process is not None and self.process.exit_code is None:
            await self.process.terminate(timeout=20.0)

    def pause(self) -> None:
        """SIGSTOP: the process stands still but its sockets stay open."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """SIGCONT."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)


#: The fixture `start_coven`: a configuration, and whether to wait until it is ready.
StartCoven = Callable[..., Awaitable[Coven]]


def _get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=15.0) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError as error:
        return 0, str(error)


def _table(section: Domain | Upstream) -> dict[str, Any]:
    keys = {k: v for k, v in dataclasses.asdict(section).items() if k != "more" and v != []}
    return {**keys, **section.more}


def to_toml(table: dict[str, Any], path: str = "") -> str:
    """TOML of nested dicts: plain keys first, then tables, then arrays of tables."""
    plain = {k: v for k, v in table.items() if not isinstance(v, dict) and not _tables(v)}
    out = "".join(f"{k} = {_value(v)}\n" for k, v in plain.items())
    for k, v in table.items():
        if isinstance(v, dict):
            out += f"\n[{path}{k}]\n" + to_toml(v, f"{path}{k}.")
        elif _tables(v):
            out += "".join(f"\n[[{path}{k}]]\n" + to_toml(t, f"{path}{k}.") for t in v)
    return out


def _tables(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(v, dict) for v in value)


def _value(value: Any) -> str:
    # JSON's strings, numbers, booleans and arrays of these are TOML too.
    return json.dumps(value)
