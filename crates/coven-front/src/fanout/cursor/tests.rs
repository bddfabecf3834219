//! What a cursor takes and tells, case by case. Any order of cases is in `tests/streams.rs`.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod streams;

use super::*;

/// Of all events, where it does not matter.
const OWNER: Epoch = Epoch(1);
/// The owner of the shard after that.
const NEXT: Epoch = Epoch(2);
/// The node's own events have come as far as it takes.
const FAR: Sequence = Sequence(u64::MAX);

fn cursor(written: u64) -> Cursor {
    let mut cursor = Cursor::new();
    let based = cursor.base(Sequence(written), None, OWNER);
    assert_eq!(based, Based::Complete);
    cursor
}

#[test]
fn il_05_a_lost_stream_sets_back_to_the_last_acknowledged() {
    let mut cursor = cursor(0);
    let first = cursor.wrote(Sequence(1), OWNER);
    cursor.wrote(Sequence(2), OWNER);
    cursor.acknowledged(first);
    cursor.lost();
    assert!(!cursor.wants(Sequence(3), OWNER), "nothing before the base");
    assert!(cursor.ask());
    assert_eq!(cursor.base(Sequence(0), None, OWNER), Based::Complete);
    assert!(!cursor.wants(Sequence(1), OWNER) && cursor.wants(Sequence(2), OWNER));
}

#[test]
fn il_06_a_repeat_on_the_same_stream_is_not_written() {
    let mut cursor = cursor(0);
    cursor.wrote(Sequence(1), OWNER);
    assert_eq!(cursor.base(Sequence(0), None, OWNER), Based::Complete);
    assert!(!cursor.wants(Sequence(1), OWNER));
}

#[test]
fn il_28_a_commit_is_acknowledged_with_its_last_event() {
    let mut cursor = cursor(0);
    let first = cursor.wrote(Sequence(1), OWNER);
    let last = cursor.wrote(Sequence(2), OWNER);
    assert_eq!((first.commit, last.commit), (0, 0));
    let whole = cursor.committed(7).unwrap();
    cursor.acknowledged(first);
    assert_eq!(cursor.news(FAR).unwrap().commit, 0);
    cursor.acknowledged(whole);
    let news = cursor.news(FAR).unwrap();
    assert_eq!((news.sequence, news.commit), (Sequence(2), 7));
}

#[test]
fn il_28_what_is_for_nobody_here_is_acknowledged_at_once() {
    let mut cursor = cursor(4);
    cursor.passed(Sequence(5), OWNER);
    assert_eq!(cursor.committed(9), None);
    let news = cursor.news(FAR).unwrap();
    assert_eq!((news.sequence, news.commit), (Sequence(5), 9));
    assert!(cursor.is_done());
}

#[test]
fn a_node_that_no_longer_has_what_is_missing_is_believed_once_it_was_asked() {
    let mut cursor = cursor(3);
    cursor.dropped();
    assert_eq!(cursor.base(Sequence(9), None, OWNER), Based::Missing);
    cursor.ask();
    assert_eq!(cursor.base(Sequence(9), None, OWNER), Based::Skipped);
    assert!(!cursor.wants(Sequence(9), OWNER) && cursor.wants(Sequence(10), OWNER));
}

#[test]
fn i5_answers_go_on_where_events_are_left_out_but_not_where_a_stream_was_lost() {
    let mut cursor = cursor(3);
    assert!(cursor.takes_answers());
    cursor.wrote(Sequence(4), OWNER);
    cursor.missed();
    assert!(cursor.takes_answers() && !cursor.is_current());
    cursor.ask();
    assert!(cursor.takes_answers(), "the base is on its way");
    cursor.lost();
    assert!(!cursor.takes_answers(), "and what was written went with it");
    cursor.ask();
    assert_eq!(cursor.base(Sequence(3), None, OWNER), Based::Complete);
    assert!(cursor.takes_answers());
}

#[test]
fn i5_a_channel_made_anew_is_counted_from_its_own_beginning() {
    let mut cursor = cursor(0);
    cursor.wrote(Sequence(57), OWNER);
    let mark = cursor.committed(7).unwrap();
    assert!(!cursor.renew(Sequence(0), None), "57 may yet come again");
    cursor.acknowledged(mark);
    cursor.told(FAR);
    cursor.committed(8);
    assert!(
        !cursor.renew(Sequence(57), None),
        "the same channel goes on"
    );
    assert!(cursor.renew(Sequence(0), None));
    assert!(cursor.wants(Sequence(1), OWNER));
    let news = cursor.news(FAR).unwrap();
    assert_eq!((news.sequence, news.commit), (Sequence(0), 8));
}

#[test]
fn i3_a_channel_that_comes_back_repeats_nothing_that_was_acknowledged() {
    let mut cursor = cursor(57);
    assert!(cursor.renew(Sequence(50), Some(Sequence(57))));
    assert!(!cursor.wants(Sequence(57), OWNER) && cursor.wants(Sequence(58), OWNER));
}

#[test]
fn il_07_a_ghost_of_an_event_that_was_replaced_is_dropped() {
    let mut cursor = cursor(0);
    cursor.base(Sequence(0), None, NEXT);
    cursor.wrote(Sequence(1), NEXT);
    assert!(!cursor.wants(Sequence(1), OWNER), "it never was");
}

#[test]
fn il_08_what_a_new_owner_sends_again_keeps_its_first_epoch_and_is_a_repeat() {
    let mut cursor = cursor(100);
    cursor.wrote(Sequence(101), OWNER);
    cursor.base(Sequence(100), Some(Sequence(100)), NEXT);
    assert!(!cursor.wants(Sequence(101), OWNER));
    assert!(cursor.wants(Sequence(102), NEXT));
}

#[test]
fn il_09_another_event_in_the_place_of_a_lost_one_is_written() {
    let mut cursor = cursor(100);
    let lost = cursor.wrote(Sequence(101), OWNER);
    let lost_too = cursor.wrote(Sequence(102), OWNER);
    cursor.acknowledged(lost);
    cursor.base(Sequence(100), Some(Sequence(100)), NEXT);
    let told = cursor.news(Sequence(100));
    assert!(
        told.is_none_or(|mark| mark.sequence == Sequence(100)),
        "nothing is said of events that the owner does not have: {told:?}"
    );
    assert!(cursor.wants(Sequence(101), NEXT));
    let another = cursor.wrote(Sequence(101), NEXT);
    cursor.acknowledged(lost_too);
    let told = cursor.news(Sequence(101)).map(|mark| mark.sequence);
    assert!(told.is_none_or(|told| told == Sequence(100)), "{told:?}");
    cursor.acknowledged(another);
    let told = cursor.news(Sequence(101)).unwrap();
    assert_eq!((told.sequence, told.first), (Sequence(101), NEXT));
}

#[test]
fn il_06_il_27_a_connection_that_is_held_anew_begins_where_it_has_come_to_itself() {
    let mut cursor = Cursor::new();
    assert!(!cursor.wants(Sequence(1), OWNER) && cursor.takes_answers());
    // A base for others, which had come further: it is not this one's.
    assert_eq!(
        cursor.base(Sequence(5), Some(Sequence(3)), OWNER),
        Based::Missing
    );
    assert!(!cursor.wants(Sequence(6), OWNER), "4 and 5 would be lost");
    assert!(cursor.ask());
    assert_eq!(
        cursor.base(Sequence(2), Some(Sequence(3)), OWNER),
        Based::Complete
    );
    assert!(!cursor.wants(Sequence(3), OWNER) && cursor.wants(Sequence(4), OWNER));
}

#[test]
fn a_new_owner_is_told_again_what_is_acknowledged_but_not_by_the_old_ones_commits() {
    let mut cursor = cursor(0);
    cursor.wrote(Sequence(1), OWNER);
    let old = cursor.committed(70).unwrap();
    cursor.wrote(Sequence(2), OWNER);
    cursor.acknowledged(old);
    cursor.told(FAR);
    cursor.base(Sequence(0), None, NEXT);
    let news = cursor.news(Sequence(1)).unwrap();
    assert_eq!((news.sequence, news.commit), (Sequence(1), 0));
}

#[test]
fn il_23_what_was_not_written_comes_again_and_what_was_does_not() {
    let mut cursor = cursor(0);
    let first = cursor.wrote(Sequence(1), OWNER);
    cursor.wrote(Sequence(2), OWNER);
    cursor.unwritten(Some(first));
    assert!(
        !cursor.wants(Sequence(2), OWNER),
        "until the node sends again"
    );
    assert!(cursor.ask());
    assert_eq!(cursor.base(Sequence(0), None, OWNER), Based::Complete);
    assert!(!cursor.wants(Sequence(1), OWNER) && cursor.wants(Sequence(2), OWNER));
    cursor.unwritten(None);
    cursor.ask();
    cursor.base(Sequence(0), None, OWNER);
    assert!(cursor.wants(Sequence(1), OWNER), "nothing was acknowledged");
}

#[test]
fn i5_il_10_a_stored_refusal_is_acknowledged_once_the_server_has_it() {
    let mut cursor = cursor(3);
    cursor.refused();
    let whole = cursor.committed(9).unwrap();
    let told = cursor.news(FAR).map(|mark| mark.commit);
    assert!(told.is_none_or(|commit| commit == 0), "{told:?}");
    assert!(!cursor.is_done());
    cursor.acknowledged(whole);
    assert_eq!(cursor.news(FAR).unwrap().commit, 9);
    assert!(cursor.is_done());
}

#[test]
fn i5_il_10_the_barrier_of_an_event_says_nothing_of_a_refusal_behind_it() {
    let mut cursor = cursor(4);
    cursor.wrote(Sequence(5), OWNER);
    let event = cursor.committed(8).unwrap();
    cursor.refused();
    let refusal = cursor.committed(9).unwrap();
    cursor.acknowledged(event);
    let news = cursor.news(FAR).unwrap();
    assert_eq!((news.sequence, news.commit), (Sequence(5), 8));
    cursor.acknowledged(refusal);
    assert_eq!(cursor.news(FAR).unwrap().commit, 9);
}

#[test]
fn i5_il_10_a_refusal_that_found_no_way_comes_again() {
    let gates: [fn(&mut Cursor); 2] = [Cursor::dropped, Cursor::missed];
    for meets in gates {
        let mut cursor = cursor(3);
        meets(&mut cursor);
        assert_eq!(cursor.committed(9), None);
        assert!(cursor.ask());
        let based = cursor.base(Sequence(3), Some(Sequence(3)), OWNER);
        assert_eq!(based, Based::Complete);
        cursor.refused();
        let whole = cursor.committed(9).unwrap();
        cursor.acknowledged(whole);
        assert_eq!(cursor.news(FAR).unwrap().commit, 9);
    }
}

#[test]
fn i9_what_was_asked_for_is_not_asked_for_with_each_event_until_it_comes() {
    let mut cursor = cursor(3);
    cursor.broken();
    assert!(cursor.ask_first());
    cursor.broken();
    assert!(!cursor.ask_first(), "it is on its way");
    assert!(cursor.ask(), "after a while it is");
    cursor.broken();
    let skips = cursor.base(Sequence(9), None, OWNER);
    assert_eq!(skips, Based::Missing, "that was not what it was asked for");
    assert!(cursor.ask_first());
    let based = cursor.base(Sequence(3), None, OWNER);
    assert_eq!(based, Based::Complete);
    cursor.missed();
    assert!(cursor.ask_first(), "another gap");
}

#[test]
fn i5_il_05_a_refusal_goes_with_its_stream() {
    let mut cursor = cursor(3);
    cursor.refused();
    cursor.committed(9);
    cursor.lost();
    assert!(cursor.ask(), "it is asked for");
    let mut begins = Cursor::new();
    begins.refused();
    begins.lost();
    assert!(begins.ask());
    let based = begins.base(Sequence(5), None, OWNER);
    assert_eq!(based, Based::Complete, "it has missed nothing else");
}

#[test]
fn i5_il_23_the_commit_of_what_was_not_written_is_not_acknowledged() {
    let mut cursor = cursor(0);
    cursor.wrote(Sequence(1), OWNER);
    let first = cursor.committed(7).unwrap();
    cursor.wrote(Sequence(2), OWNER);
    cursor.committed(8);
    cursor.unwritten(Some(first));
    cursor.acknowledged(first);
    cursor.ask();
    cursor.base(Sequence(0), None, OWNER);
    assert_eq!(cursor.news(FAR).unwrap().commit, 7);
}
