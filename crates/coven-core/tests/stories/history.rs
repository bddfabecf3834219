//! History on joining, and what is kept at all (XEP-0045 §7.2.14, XEP-0313 §6.1).

use crate::table::acts::{post, topic};
use crate::table::{HAG, OWNER, START, Table};
use coven_core::channel::Output;
use coven_core::command::{Post, Traits};
use coven_core::content::history::{self, MAX_BYTES, MAX_ENTRIES};
use coven_core::event::{Event, Record};
use coven_core::{Affiliation, HistoryRequest, Timestamp};
use std::sync::Arc;

/// Messages `0`, `1`, ... a second apart, the first at [`START`].
fn said(count: usize) -> Table {
    let mut t = Table::room();
    t.joins(HAG, "thirdwitch").ok();
    for i in 0..count {
        t.says(HAG, &i.to_string()).ok();
        t.passes(1000);
    }
    t
}

fn texts(records: &[Arc<Record>]) -> Vec<String> {
    let text = |record: &Arc<Record>| match &record.event {
        Event::Message(m) => String::from_utf8(m.payload.to_vec()).unwrap(),
        event => panic!("{event:?}"),
    };
    records.iter().map(text).collect()
}

/// What a newcomer gets.
fn get(t: &Table, wanted: HistoryRequest) -> Vec<String> {
    let max = history::limit(t.roster().config(), &t.service);
    texts(&t.channel.tail().select(wanted, max, t.now, t.roster().at()))
}

const ALL: HistoryRequest = HistoryRequest {
    max_chars: None,
    max_stanzas: None,
    seconds: None,
    since: None,
};

#[test]
fn history_is_given_oldest_first() {
    assert_eq!(get(&said(3), ALL), ["0", "1", "2"]);
}

#[test]
fn muc_hist_04_the_most_recent_so_many_messages() {
    let t = said(3);
    let get = |n| {
        get(
            &t,
            HistoryRequest {
                max_stanzas: Some(n),
                ..ALL
            },
        )
    };
    assert_eq!(get(2), ["1", "2"]);
    assert!(get(0).is_empty());
    assert_eq!(get(u64::MAX).len(), 3);
}

#[test]
fn muc_hist_06_of_the_last_so_many_seconds() {
    // said at 0, 1, 2 s; now it is 3 s
    let t = said(3);
    let get = |n| {
        get(
            &t,
            HistoryRequest {
                seconds: Some(n),
                ..ALL
            },
        )
    };
    assert_eq!(get(1), ["2"]);
    assert_eq!(get(2), ["1", "2"]);
    assert!(get(0).is_empty());
    assert_eq!(get(u64::MAX).len(), 3);
}

#[test]
fn muc_hist_07_since_a_time_and_including_it() {
    let t = said(3);
    let get = |ms| {
        get(
            &t,
            HistoryRequest {
                since: Some(Timestamp(START.0 + ms)),
                ..ALL
            },
        )
    };
    assert_eq!(get(1000), ["1", "2"]);
    assert_eq!(get(1001), ["2"]);
    assert!(get(60_000).is_empty(), "a future time (I-35)");
}

#[test]
fn muc_hist_08_the_smallest_set_of_all_limits() {
    let mut t = said(10);
    let wanted = HistoryRequest {
        max_stanzas: Some(5),
        seconds: Some(3),
        since: Some(START),
        ..ALL
    };
    assert_eq!(get(&t, wanted), ["7", "8", "9"]);
    let wanted = HistoryRequest {
        seconds: Some(100),
        ..wanted
    };
    assert_eq!(get(&t, wanted).len(), 5);
    t.sets(|c| c.max_history = 2);
    assert_eq!(get(&t, wanted), ["8", "9"]);
    let early = HistoryRequest {
        since: Some(Timestamp(0)),
        ..ALL
    };
    assert_eq!(get(&t, early).len(), 2);
    t.service.max_history = 1;
    assert_eq!(get(&t, ALL), ["9"]);
}

#[test]
fn muc_enter_03_a_join_that_is_told_again_gets_what_it_got() {
    let mut t = said(3);
    let joined = t.joins("wiccarocks@shakespeare.example/laptop", "secondwitch");
    let at = joined.records[0].sequence;
    let select = |t: &Table| texts(&t.channel.tail().select(ALL, 2, t.now, at));
    assert_eq!(select(&t), ["1", "2"]);
    t.says(HAG, "3").ok();
    assert_eq!(select(&t), ["1", "2"]);
}

#[test]
// covers: MUC-HIST-11
fn muc_hist_10_11_muc_mam_07_what_is_kept_and_what_is_history() {
    let (body, store, no_store) = (Traits::BODY, Traits::STORE, Traits::NO_STORE);
    for (traits, kept, history) in [
        (body, true, true),
        (Traits::default(), false, false),
        (store, true, true),
        (body.with(no_store), false, false),
        (Traits::MARKER, true, false),
        (Traits::MARKER.with(store), true, true),
        (Traits::ENCRYPTED, true, false),
        (Traits::ENCRYPTED.with(body), true, true),
        (Traits::ENCRYPTED.with(no_store), false, false),
        (Traits::RETRACTION, true, true),
        (Traits::RETRACTION.with(no_store), true, true),
    ] {
        let mut t = said(0);
        let outcome = t.posts(
            HAG,
            Post {
                traits,
                ..post("x")
            },
        );
        assert_eq!(outcome.message().archived, kept, "{traits:?}");
        assert_eq!(matches!(outcome.outputs[..], [Output::Passing(_)]), !kept);
        assert_eq!(
            t.channel.tail().entries().len(),
            usize::from(history),
            "{traits:?}"
        );
    }
}

#[test]
fn muc_subj_08_muc_mam_06_subject_changes_are_kept_but_no_history() {
    let mut t = said(1);
    t.makes(HAG, Affiliation::Admin);
    assert!(t.posts(HAG, topic("x")).message().archived);
    assert_eq!(get(&t, ALL), ["0"]);
}

#[test]
fn the_tail_is_bounded_and_keeps_the_newest() {
    let t = said(MAX_ENTRIES + 5);
    assert_eq!(t.channel.tail().entries().len(), MAX_ENTRIES);
    assert_eq!(get(&t, ALL).first().unwrap(), "5");
    let mut t = said(2);
    t.says(HAG, &"x".repeat(MAX_BYTES)).ok();
    assert_eq!(t.channel.tail().entries().len(), 1);
}

#[test]
fn a_tail_after_loading_is_filled_from_the_archive_before_what_is_new() {
    let t = said(4);
    let archive: Vec<_> = t.channel.tail().entries().cloned().collect();
    let mut channel = t.reloaded();
    assert!(!channel.tail().filled());
    channel.apply(&archive[3]);
    channel.tail_mut().fill(archive);
    assert!(channel.tail().filled());
    let entries: Vec<_> = channel.tail().entries().cloned().collect();
    assert_eq!(texts(&entries), ["0", "1", "2", "3"]);
}

#[test]
fn a_new_channel_has_no_history_to_look_for() {
    let t = Table::room();
    assert!(t.channel.tail().filled());
}

#[test]
fn muc_mam_04_mix_mam_16_ids_are_unique_and_say_nothing() {
    let mut t = Table::room();
    t.joins(OWNER, "firstwitch").ok();
    let mut ids = std::collections::HashSet::new();
    for _ in 0..500 {
        let id = t.says(OWNER, "x").message().archive_id;
        assert!(ids.insert(id));
        assert_eq!(id.to_string().len(), 26);
    }
}

#[test]
fn muc_mam_23_muc_dest_05_a_later_room_has_other_keys_and_ids() {
    let mut t = said(1);
    let (key, id) = (*t.channel.key().unwrap(), t.seen(HAG).person.id);
    t.destroys(OWNER, None).ok();
    assert_eq!(t.channel.key(), None);
    assert_eq!(t.channel.tail().entries().len(), 0);
    t.joins(HAG, "thirdwitch").ok();
    assert!(key != *t.channel.key().unwrap());
    assert_ne!(t.seen(HAG).person.id, id);
}
