"""XML in and out: one read stanza with the questions that stories ask, and the pieces stories send."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator
from typing import Any
from xml.sax.saxutils import escape, quoteattr

STREAM = "http://etherx.jabber.org/streams"
CLIENT = "jabber:client"
COMPONENT = "jabber:component:accept"
SASL = "urn:ietf:params:xml:ns:xmpp-sasl"
BIND = "urn:ietf:params:xml:ns:xmpp-bind"
STANZAS = "urn:ietf:params:xml:ns:xmpp-stanzas"
MUC = "http://jabber.org/protocol/muc"
MUC_USER = MUC + "#user"
MUC_ADMIN = MUC + "#admin"
MUC_OWNER = MUC + "#owner"
MUC_ROOMCONFIG = MUC + "#roomconfig"
DISCO_INFO = "http://jabber.org/protocol/disco#info"
DISCO_ITEMS = "http://jabber.org/protocol/disco#items"
DATA = "jabber:x:data"
DELAY = "urn:xmpp:delay"
FORWARD = "urn:xmpp:forward:0"
MAM = "urn:xmpp:mam:2"
RSM = "http://jabber.org/protocol/rsm"
PING = "urn:xmpp:ping"
SID = "urn:xmpp:sid:0"
OCCUPANT_ID = "urn:xmpp:occupant-id:0"
MIX = "urn:xmpp:mix:core:1"

# Short names in the paths of `Stanza.find`: "muc:x", "client:body".
PREFIXES = {
    "stream": STREAM,
    "client": CLIENT,
    "stanzas": STANZAS,
    "bind": BIND,
    "sasl": SASL,
    "muc": MUC,
    "user": MUC_USER,
    "admin": MUC_ADMIN,
    "owner": MUC_OWNER,
    "info": DISCO_INFO,
    "items": DISCO_ITEMS,
    "data": DATA,
    "delay": DELAY,
    "forward": FORWARD,
    "mam": MAM,
    "rsm": RSM,
    "ping": PING,
    "sid": SID,
    "occupant": OCCUPANT_ID,
    "mix": MIX,
}


class Stanza:
    """A stanza as it was read. Elements of `jabber:component:accept` are read as `jabber:client`."""

    def __init__(self, element: ET.Element) -> None:
        self.element = element

    @classmethod
    def parse(cls, xml: str) -> Stanza:
        """Reads a fragment; without a namespace it counts as `jabber:client`."""
        return cls(ET.fromstring(f"<r xmlns='{CLIENT}'>{xml}</r>")[0])

    @property
    def kind(self) -> str:
        """`message`, `presence`, `iq`, or the local name of another element."""
        return self.element.tag.rpartition("}")[2]

    @property
    def namespace(self) -> str:
        return self.element.tag.rpartition("}")[0].removeprefix("{")

    @property
    def type(self) -> str | None:
        return self.element.get("type")

    @property
    def id(self) -> str | None:
        return self.element.get("id")

    @property
    def sender(self) -> str:
        """The `from` address."""
        return self.element.get("from", "")

    @property
    def to(self) -> str:
        return self.element.get("to", "")

    @property
    def nick(self) -> str:
        """The resource of `from`: in a room, who it is."""
        return self.sender.partition("/")[2]

    def find(self, path: str) -> ET.Element | None:
        """The first match of an ElementTree path with the prefixes above."""
        return self.element.find(path, PREFIXES)

    def all(self, path: str) -> list[ET.Element]:
        return self.element.findall(path, PREFIXES)

    def has(self, path: str) -> bool:
        return self.find(path) is not None

    def text(self, path: str) -> str | None:
        """The text of the first match: "" if it is empty, None if there is no match."""
        found = self.find(path)
        return None if found is None else found.text or ""

    def get(self, path: str, attribute: str) -> str | None:
        """An attribute of the first match."""
        found = self.find(path)
        return None if found is None else found.get(attribute)

    @property
    def body(self) -> str | None:
        return self.text("client:body")

    @property
    def codes(self) -> set[int]:
        """The status codes in the muc#user element (XEP-0045 §15.6.2)."""
        return {int(s.get("code", "0")) for s in self.all("user:x/user:status")}

    @property
    def affiliation(self) -> str | None:
        return self.get("user:x/user:item", "affiliation")

    @property
    def role(self) -> str | None:
        return self.get("user:x/user:item", "role")

    @property
    def stanza_id(self) -> str | None:
        """The archive id that the sender of this stanza (a room) gave it."""
        room = self.sender.partition("/")[0]
        return next((s.get("id") for s in self.all("sid:stanza-id") if s.get("by") == room), None)

    @property
    def occupant_id(self) -> str | None:
        return self.get("occupant:occupant-id", "id")

    @property
    def error(self) -> tuple[str, str] | None:
        """(condition, type) of a stanza error, such as ("conflict", "cancel")."""
        error = self.find("client:error")
        if error is None:
            return None
        conditions = [c.tag for c in error if c.tag.startswith(f"{{{STANZAS}}}") and not c.tag.endswith("}text")]
        return (conditions[0].rpartition("}")[2] if conditions else "", error.get("type", ""))

    def forwarded(self) -> Stanza | None:
        """The message inside a MAM result (XEP-0313 §4.2)."""
        found = self.find("mam:result/forward:forwarded/client:message")
        return None if found is None else Stanza(found)

    def __str__(self) -> str:
        return ET.tostring(self.element, encoding="unicode")

    __repr__ = __str__


class WholeTags:
    """Holds bytes back until a tag ends.

    An expat with CVE-2023-52425 mended does not look again at a token that it saw half of until the input has doubled,
    and Debian 12's Python has no call that makes it look. So a parser is only given what ends with a tag.
    """

    def __init__(self) -> None:
        self._held = b""

    def add(self, data: bytes) -> bytes:
        """What may be parsed now, in the order it came."""
        whole, tag_end, self._held = (self._held + data).rpartition(b">")
        return whole + tag_end


class StreamReader:
    """Cuts an XML stream into its header and its stanzas."""

    def __init__(self) -> None:
        self._parser: Any = ET.XMLPullParser(("start", "end"))
        self._tags = WholeTags()
        self._root: ET.Element | None = None
        self._depth = 0

    @property
    def header(self) -> dict[str, str] | None:
        """The attributes of the stream header once it was read."""
        return None if self._root is None else dict(self._root.attrib)

    def feed(self, data: bytes) -> Iterator[Stanza]:
        """Reads bytes; yields each stanza that they complete."""
        self._parser.feed(self._tags.add(data))
        for event, element in self._parser.read_events():
            if event == "start":
                self._depth += 1
                if self._root is None:
                    self._root = element
                continue
            self._depth -= 1
            if self._depth == 1 and self._root is not None:
                self._root.remove(element)
                yield Stanza(as_client(element))


def as_client(element: ET.Element) -> ET.Element:
    """Renames `jabber:component:accept` to `jabber:client`, so that paths are the same on both streams."""
    for e in element.iter():
        e.tag = e.tag.replace(f"{{{COMPONENT}}}", f"{{{CLIENT}}}")
    return element


def tag(name: str, content: str = "", **attributes: str | None) -> str:
    """An element as text. `content` is XML; a trailing underscore is cut from names (`from_`), others turn into `-`."""
    names = {k.rstrip("_").replace("_", "-"): v for k, v in attributes.items() if v is not None}
    attrs = "".join(f" {k}={quoteattr(v)}" for k, v in names.items())
    return f"<{name}{attrs}>{content}</{name}>"


def text(name: str, value: str) -> str:
    """An element with text in it."""
    return f"<{name}>{escape(value)}</{name}>"


def form(form_type: str, fields: dict[str, str]) -> str:
    """A submitted data form (XEP-0004)."""
    every = {"FORM_TYPE": form_type, **fields}
    inner = "".join(tag("field", text("value", v), var=k) for k, v in every.items())
    return tag("x", inner, xmlns=DATA, type="submit")
