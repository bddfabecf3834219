"""A Redis as text: the commands that make what it holds, one JSON list of base64 words for each line."""

from __future__ import annotations

import base64
import json
import socket
from collections.abc import Iterator
from typing import Any, BinaryIO


class Link:
    """A connection that passes bytes as they are."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=60.0)
        self._answers: BinaryIO = self._socket.makefile("rb")

    def ask(self, *words: bytes) -> Any:
        """The answer to one command. Errors: `RuntimeError` for a refusal."""
        parts = b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)
        self._socket.sendall(b"*%d\r\n" % len(words) + parts)
        return self._read()

    def close(self) -> None:
        self._answers.close()
        self._socket.close()

    def _read(self) -> Any:
        line = self._answers.readline().rstrip(b"\r\n")
        kind, rest = line[:1], line[1:]
        if kind == b"-":
            raise RuntimeError(rest.decode())
        if kind == b"$":
            return None if rest == b"-1" else self._answers.read(int(rest) + 2)[:-2]
        if kind == b"*":
            return [self._read() for _ in range(int(rest))]
        return int(rest) if kind == b":" else rest


def dump(port: int, but: bytes) -> str:
    """All keys that do not begin so, in order."""
    link = Link(port)
    keys = sorted(key for key in link.ask(b"KEYS", b"*") if not key.startswith(but))
    lines = [json.dumps([base64.b64encode(word).decode() for word in one]) for key in keys for one in _made(link, key)]
    link.close()
    return "\n".join(lines) + "\n"


def restore(port: int, text: str) -> None:
    """Does what a dump says."""
    link = Link(port)
    for line in text.splitlines():
        link.ask(*(base64.b64decode(word) for word in json.loads(line)))
    link.close()


def _made(link: Link, key: bytes) -> Iterator[list[bytes]]:
    match link.ask(b"TYPE", key):
        case b"string":
            yield [b"SET", key, link.ask(b"GET", key)]
        case b"hash":
            pairs = link.ask(b"HGETALL", key)
            ordered = sorted(zip(pairs[::2], pairs[1::2], strict=True))
            yield [b"HSET", key, *(word for pair in ordered for word in pair)]
        case b"zset":
            pairs = link.ask(b"ZRANGE", key, b"0", b"-1", b"WITHSCORES")
            yield [b"ZADD", key, *(w for member, score in zip(pairs[::2], pairs[1::2], strict=True) for w in (score, member))]
        case b"stream":
            for id_, fields in link.ask(b"XRANGE", key, b"-", b"+"):
                yield [b"XADD", key, id_, *fields]
        case kind:
            raise ValueError(f"{key!r} is a {kind!r}: nobody of us makes these")
