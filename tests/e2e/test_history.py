"""The history checker finds what it is there to find."""

from __future__ import annotations

import pytest
from harness.history import Barrier, Crash, Heard, Witness, check

ARCHIVE = [("i1", "a"), ("i2", "b"), ("i3", "c")]


def witness(*ids: str, **more: object) -> Witness:
    heard = [Heard(i, "", at) for at, i in enumerate(ids, start=1)]
    return Witness("w", heard, **more)  # type: ignore[arg-type]


def test_a_good_history_has_no_faults() -> None:
    assert check(ARCHIVE, [witness("i1", "i2", "i3", reflected={"a"}, refused={"z"})], []) == []


@pytest.mark.parametrize(
    ("who", "fault"),
    [
        (witness("i1", "i3"), "never heard: i2"),
        (witness("i1", "i3", "i2"), "another order"),
        (witness("i1", "i2", "i3", "i9"), "heard but not archived: i9"),
        (witness("i1", "i2", "i2", "i3"), "repeated without a crash: i2"),
        (witness("i1", "i2", "i3", reflected={"z"}), "reflected but not archived: z"),
        (witness("i1", "i2", "i3", refused={"b"}), "refused but archived: b"),
        (witness("i1", "i2", "i3", thrown_out=True), "thrown out"),
    ],
)
def test_every_broken_promise_is_found(who: Witness, fault: str) -> None:
    faults = check(ARCHIVE, [who], [])
    assert any(fault in f for f in faults), faults


def test_what_is_archived_twice_is_found() -> None:
    assert any("twice" in f for f in check([("i1", "a"), ("i2", "a")], [witness("i1", "i2")], []))


def test_repeats_over_a_crash_are_allowed_unless_acknowledged() -> None:
    heard = [Heard("i1", "", 1000), Heard("i2", "", 2000), Heard("i2", "", 9000), Heard("i3", "", 9001)]
    crash = Crash(5000, (Barrier(1500, 1600),))
    assert check(ARCHIVE, [Witness("w", heard)], [crash]) == []
    late = Crash(5000, (Barrier(3000, 3100),))
    assert any("acknowledged" in f for f in check(ARCHIVE, [Witness("w", heard)], [late]))


def test_a_barrier_answered_just_before_the_crash_does_not_count() -> None:
    heard = [Heard("i1", "", 1), Heard("i2", "", 2000), Heard("i2", "", 9000), Heard("i3", "", 9001)]
    assert check(ARCHIVE, [Witness("w", heard)], [Crash(5000, (Barrier(4700, 4800),))]) == []


def test_repeats_out_of_order_are_found() -> None:
    archive = [("i1", "a"), ("i2", "b")]
    heard = [Heard("i1", "", 1), Heard("i2", "", 2), Heard("i2", "", 21), Heard("i1", "", 22)]
    assert any("out of order" in f for f in check(archive, [Witness("w", heard)], [Crash(10, (), 20)]))
    in_order = [*heard[:2], Heard("i1", "", 21), Heard("i2", "", 22)]
    assert check(archive, [Witness("w", in_order)], [Crash(10, (), 20)]) == []
