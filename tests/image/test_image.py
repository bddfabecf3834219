"""The image of docker/Dockerfile, run by a real engine as Kubernetes would run it: another user, a read-only root, no
capabilities, signals. Needs a Docker engine and the image COVEN_IMAGE; run by `scripts/test --only image`.
"""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import tempfile
import time
import unittest
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

IMAGE = os.environ.get("COVEN_IMAGE", "coven:test")
BASE = "gcr.io/distroless/cc-debian12:nonroot"

CONFIG = """
[store]
url = "sqlite:/var/lib/coven/coven.db"
[[domain]]
name = "chat.localhost"
[[upstream]]
address = "127.0.0.1:5347"
domains = ["chat.localhost"]
secret = "secret"
[http]
listen = "0.0.0.0:8088"
"""


def docker(*arguments: str, check: bool = True) -> str:
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, timeout=300, check=False)
    if check and done.returncode != 0:
        raise AssertionError(f"docker {arguments}: {done.stdout}{done.stderr}")
    return (done.stdout + done.stderr).strip()


def until(condition: Callable[[], bool], what: str, seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.1)


class Container:
    """One coven as Kubernetes would run it."""

    def __init__(self, config: str = CONFIG) -> None:
        self.folder = tempfile.TemporaryDirectory()
        file = pathlib.Path(self.folder.name, "coven.toml")
        file.write_text(config)
        os.chmod(self.folder.name, 0o755)
        file.chmod(0o644)
        self.id = docker(
            "run", "--detach", "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges",
            "--tmpfs", "/var/lib/coven:uid=65532,gid=65532,mode=0700",
            "--volume", f"{file}:/etc/coven/coven.toml:ro", IMAGE,
        )  # fmt: skip

    def __enter__(self) -> Container:
        return self

    def __exit__(self, *_: object) -> None:
        docker("rm", "--force", self.id)
        self.folder.cleanup()

    def inspect(self) -> Any:
        return json.loads(docker("inspect", self.id))[0]

    def is_over(self) -> bool:
        return not self.inspect()["State"]["Running"]

    def get(self, path: str) -> int:
        return self.ask(path)[0]

    def serves(self) -> bool:
        return "coven_store_up 1" in self.ask("/metrics")[1]

    def ask(self, path: str) -> tuple[int, str]:
        address = self.inspect()["NetworkSettings"]["IPAddress"]
        try:
            with urllib.request.urlopen(f"http://{address}:8088{path}", timeout=15) as answer:
                return int(answer.status), answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""


class Image(unittest.TestCase):
    def test_it_runs_as_nobody_on_a_read_only_root(self) -> None:
        with Container() as coven:
            until(lambda: coven.get("/livez") == 200, "alive: " + docker("logs", coven.id))
            # There is no server to attach to, so it is not ready, and says so.
            self.assertEqual(coven.get("/readyz"), 503)
            process = pathlib.Path("/proc", str(coven.inspect()["State"]["Pid"]))
            status = dict(line.split(":\t", 1) for line in (process / "status").read_text().splitlines() if ":\t" in line)
            self.assertEqual(status["Uid"].split(), ["65532"] * 4)
            self.assertEqual(int(status["CapEff"], 16), 0)
            # The first process is coven, with no shell in between.
            self.assertEqual((process / "comm").read_text().strip(), "coven")

    def test_sigterm_makes_it_drain_and_end_with_0(self) -> None:
        with Container() as coven:
            until(coven.serves, "serving")
            docker("stop", "--time", "60", coven.id)
            # After the time it would be killed, which is another code.
            self.assertEqual(coven.inspect()["State"]["ExitCode"], 0)
            self.assertIn("event=drained", docker("logs", coven.id))

    def test_a_wrong_configuration_ends_it_with_2_and_a_line_that_says_why(self) -> None:
        with Container(CONFIG.replace("sqlite:/", "sqlight:/")) as coven:
            until(coven.is_over, "ended")
            self.assertEqual(coven.inspect()["State"]["ExitCode"], 2)
            self.assertIn("coven: /etc/coven/coven.toml:3: store.url: ", docker("logs", coven.id))

    def test_it_adds_one_binary_to_its_base(self) -> None:
        layers = json.loads(docker("inspect", IMAGE))[0]["RootFS"]["Layers"]
        base = json.loads(docker("inspect", BASE))[0]["RootFS"]["Layers"]
        self.assertEqual(layers[: len(base)], base)
        added = sum(json.loads(docker("inspect", name))[0]["Size"] * sign for name, sign in ((IMAGE, 1), (BASE, -1)))
        self.assertLess(added, 80 * 2**20, "a debug build is larger than a release build; that has 20 MiB")


if __name__ == "__main__":
    unittest.main()
