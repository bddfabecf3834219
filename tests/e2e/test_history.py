"""The history checker finds what it is there to find, and explains what is no fault."""

from __future__ import annotations

import dataclasses

import pytest
from harness.history import Barrier, Crash, Heard, Read, Refused, Tally, Witness, check, tally

ARCHIVE = [("i1", "a"), ("i2", "b"), ("i3", "c")]
BODIES = dict(ARCHIVE)


def witness(*ids: str, **more: object) -> Witness:
    heard = [Heard(i, BODIES.get(i, "?"), at) for at, i in enumerate(ids, start=1)]
    return Witness("w", heard, **more)  # type: ignore[arg-type]


def hears_all(**more: object) -> Witness:
    return witness("i1", "i2", "i3", **more)


def test_a_good_history_has_no_faults() -> None:
    good = hears_all(reflected={"a"}, refused={"z"}, said={"a": 1, "z": 2}, reads=[Read("r", 1, 2)])
    assert check(ARCHIVE, [good], []) == []
    assert tally(ARCHIVE, [good], []) == Tally()


@pytest.mark.parametrize(
    ("who", "fault"),
    [
        (witness("i1", "i3"), "never heard: i2"),
        (witness("i1", "i3", "i2"), "another order"),
        (witness("i1", "i2", "i3", "i9"), "heard but not archived: i9"),
        (witness("i1", "i2", "i2", "i3"), "repeated without a crash: i2"),
        (hears_all(reflected={"z"}), "reflected but not archived: z"),
        (hears_all(refused={"b"}), "refused but archived: b"),
        (hears_all(refused={"b"}), "refused but heard: b"),
        (hears_all(thrown_out=True), "thrown out"),
        (Witness("w", [Heard("i1", "a", 1), Heard("i2", "other", 2), Heard("i3", "c", 3)]), "another text"),
    ],
)
def test_every_broken_promise_is_found(who: Witness, fault: str) -> None:
    faults = check(ARCHIVE, [who], [])
    assert any(fault in f for f in faults), faults


def test_what_is_archived_twice_is_found() -> None:
    assert any("twice" in f for f in check([("i1", "a"), ("i2", "a")], [witness("i1", "i2")], []))


def test_repeats_over_a_crash_are_allowed_unless_acknowledged() -> None:
    heard = [Heard("i1", "a", 1000), Heard("i2", "b", 2000), Heard("i2", "b", 9000), Heard("i3", "c", 9001)]
    crash = Crash(5000, (Barrier(1500, 1600),))
    assert check(ARCHIVE, [Witness("w", heard)], [crash]) == []
    assert tally(ARCHIVE, [Witness("w", heard)], [crash]).repeated == 1
    late = Crash(5000, (Barrier(3000, 3100),))
    assert any("acknowledged" in f for f in check(ARCHIVE, [Witness("w", heard)], [late]))


def test_after_a_clean_end_only_what_no_barrier_covers_is_repeated() -> None:
    heard = [Heard("i1", "a", 1000), Heard("i2", "b", 2000), Heard("i2", "b", 9000), Heard("i3", "c", 9001)]
    for sealed in ((), (Barrier(1000, 1010), Barrier(4900, 4990))):
        faults = check(ARCHIVE, [Witness("w", heard)], [Crash(5000, sealed, clean=True)])
        assert any("repeated though acknowledged: i2" in f for f in faults), faults
    not_sealed = Crash(5000, (Barrier(1000, 1010),), clean=True)
    assert check(ARCHIVE, [Witness("w", heard)], [not_sealed]) == []


def test_a_barrier_answered_just_before_the_crash_does_not_count() -> None:
    heard = [Heard("i1", "a", 1), Heard("i2", "b", 2000), Heard("i2", "b", 9000), Heard("i3", "c", 9001)]
    assert check(ARCHIVE, [Witness("w", heard)], [Crash(5000, (Barrier(4700, 4800),))]) == []


def test_repeats_out_of_order_are_found() -> None:
    archive = [("i1", "a"), ("i2", "b")]
    heard = [Heard("i1", "a", 1), Heard("i2", "b", 2), Heard("i2", "b", 21), Heard("i1", "a", 22)]
    assert any("out of order" in f for f in check(archive, [Witness("w", heard)], [Crash(10, (), 20)]))
    in_order = [*heard[:2], Heard("i1", "a", 21), Heard("i2", "b", 22)]
    assert check(archive, [Witness("w", in_order)], [Crash(10, (), 20)]) == []


#: Attached until 100,000; dead at 100,010; started again at 101,000; attached again at 102,000.
KILL = Crash(100_010, (), 101_000, alive=100_000, up=102_000)
SIGTERM = Crash(100_010, (), 101_000, alive=100_000, up=102_000, clean=True)


def error(at: int, by_server: bool = True) -> Witness:
    return hears_all(errors=[Refused("z", at, "remote-server-timeout", by_server)], refused={"z"})


@pytest.mark.parametrize("end", [KILL, SIGTERM])
def test_the_servers_errors_while_nothing_is_attached_are_counted(end: Crash) -> None:
    for at in (100_005, 101_500, 103_000):
        assert check(ARCHIVE, [error(at)], [end]) == []
        assert tally(ARCHIVE, [error(at)], [end]) == Tally(bounced=1)


@pytest.mark.parametrize("end", [KILL, SIGTERM])
@pytest.mark.parametrize(
    ("who", "fault"),
    [
        (error(99_000), "the server's, though coven was attached"),
        (error(200_000), "the server's, though coven was attached"),
        (error(101_500, by_server=False), "nothing explains, coven's"),
        (error(50_000, by_server=False), "nothing explains, coven's"),
    ],
)
def test_any_other_error_is_a_fault(end: Crash, who: Witness, fault: str) -> None:
    faults = check(ARCHIVE, [who], [end])
    assert any(fault in f for f in faults), faults
    assert tally(ARCHIVE, [who], [end]) == Tally()


@pytest.mark.parametrize("end", [KILL, SIGTERM])
def test_reads_that_came_too_late_are_counted(end: Crash) -> None:
    who = hears_all(reads=[Read("r1", 99_000, 99_010), Read("r2", 99_990), Read("r3", 100_005), Read("r4", 103_000, 103_009)])
    assert check(ARCHIVE, [who], [end]) == []
    assert tally(ARCHIVE, [who], [end]) == Tally(unanswered=2)


@pytest.mark.parametrize("end", [KILL, SIGTERM])
@pytest.mark.parametrize(
    ("reads", "fault"),
    [
        ([Read("r1", 50_000)], "never answered: r1"),
        ([Read("r1", 103_000)], "never answered: r1"),
        ([Read("r1", 99_000), Read("r2", 99_001, 99_010)], "passed over: r1"),
    ],
)
def test_any_other_read_without_answer_is_a_fault(end: Crash, reads: list[Read], fault: str) -> None:
    faults = check(ARCHIVE, [hears_all(reads=reads)], [end])
    assert any(fault in f for f in faults), faults


def test_a_server_that_is_not_done_in_time_may_swallow_messages_at_a_clean_end() -> None:
    who = hears_all(said={"x": 99_990})
    hasty = dataclasses.replace(SIGTERM, in_haste=True)
    assert check(ARCHIVE, [who], [hasty]) == []
    assert tally(ARCHIVE, [who], [hasty]) == Tally(lost=1)
    passed_over = hears_all(said={"x": 99_000, "c": 99_500})
    assert any("passed over: x" in f for f in check(ARCHIVE, [passed_over], [hasty]))


def test_pages_of_archives_may_be_overtaken() -> None:
    reads = [Read("r1", 99_000, ordered=False), Read("r2", 99_001, 99_010)]
    assert check(ARCHIVE, [hears_all(reads=reads)], [KILL]) == []


def test_a_read_that_the_server_refused_is_counted_once() -> None:
    refused = [Refused("r1", 101_500, "remote-server-timeout", True)]
    who = hears_all(reads=[Read("r1", 101_400)], errors=refused)
    assert check(ARCHIVE, [who], [KILL]) == []
    assert tally(ARCHIVE, [who], [KILL]) == Tally(bounced=1)


def test_messages_under_way_at_a_kill_are_counted() -> None:
    who = hears_all(said={"a": 98_000, "x": 99_990, "y": 100_005})
    assert check(ARCHIVE, [who], [KILL]) == []
    assert tally(ARCHIVE, [who], [KILL]) == Tally(lost=2)


@pytest.mark.parametrize(
    ("said", "end", "fault"),
    [
        ({"x": 50_000}, KILL, "vanished: x"),
        ({"x": 103_000}, KILL, "vanished: x"),
        ({"x": 99_000, "c": 99_500}, KILL, "passed over: x"),
        ({"x": 99_990}, SIGTERM, "vanished: x"),
        ({"x": 101_500}, SIGTERM, "vanished: x"),
    ],
)
def test_any_other_silence_is_a_fault(said: dict[str, int], end: Crash, fault: str) -> None:
    faults = check(ARCHIVE, [hears_all(said=said)], [end])
    assert any(fault in f for f in faults), faults
