"""MUC clients and MIX clients on one channel, through real servers: each sees the others in its own protocol's form."""

from __future__ import annotations

import pytest
from harness.both import Everybody, MakeSetting
from harness.mix import ONE, PAIR, Layout
from harness.prosody import Prosody, ProsodyOptions


@pytest.mark.parametrize("layout", [ONE, PAIR], ids=["one-domain", "mirrored"])
async def test_map_27_everybody_on_prosody(setting: MakeSetting, layout: Layout) -> None:
    s = await setting(Prosody, ProsodyOptions(mix_pam=True), layout)
    carol = await s.slix("carol", "coven")
    await Everybody(layout, "coven", await s.sessions("alice"), await s.sessions("bob"), carol).play()
