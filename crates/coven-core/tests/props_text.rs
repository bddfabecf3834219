//! Properties of nicks, ids and history: any text, any place, any wish.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::expect_used,
    missing_docs,
    reason = "tests"
)]

#[path = "table/mod.rs"]
mod table;

use coven_core::content::archive::{Ids, Place};
use coven_core::ids::ChannelKey;
use coven_core::{ArchiveId, HistoryRequest, Nick, Sequence, StableId, Timestamp};
use proptest::prelude::*;
use table::{HAG, START, Table};

/// Text with what makes nicks hard: spaces, joiners, marks, fillers, width, case.
fn hard_text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        any::<char>().prop_map(|c| c.to_string()),
        prop::sample::select(vec![
            " ", "\u{3000}", "\u{200d}", "\u{200b}", "\u{301}", "\u{3164}", "\u{fe0f}", "Σ", "ς",
            "ß", "İ", "ı", "ﬁ", "Å", "A\u{30a}", "ａ", "a", "A", "\u{fdfa}", "👩", "\u{a8}", "ǅ",
        ])
        .prop_map(String::from),
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn mix_nick_04_cleaning_a_nick_again_changes_nothing(raw in hard_text()) {
        if let Some(nick) = Nick::new(&raw) {
            prop_assert_eq!(&Nick::from_clean(nick.as_str()), &nick);
            let again = Nick::new(nick.as_str());
            prop_assert_eq!(again.as_ref(), Some(&nick));
            prop_assert!(nick.as_str().len() <= 1023);
            prop_assert!(!nick.key().is_empty());
        }
    }

    #[test]
    fn muc_nick_12_case_never_makes_another_nick(raw in hard_text()) {
        if let (Some(nick), Some(upper)) = (Nick::new(&raw), Nick::new(&raw.to_uppercase())) {
            prop_assert_eq!(nick.key(), upper.key());
        }
    }

    #[test]
    fn ids_are_read_as_they_are_written(stable in any::<[u8; 20]>(), archive in any::<[u8; 16]>()) {
        prop_assert_eq!(StableId::parse(&StableId(stable).to_string()), Some(StableId(stable)));
        prop_assert_eq!(ArchiveId::parse(&ArchiveId(archive).to_string()), Some(ArchiveId(archive)));
    }

    #[test]
    fn what_is_no_id_is_none(text in ".{0,40}") {
        if let Some(id) = StableId::parse(&text) {
            prop_assert_eq!(id.to_string(), text.clone());
        }
        if let Some(id) = ArchiveId::parse(&text) {
            prop_assert_eq!(id.to_string(), text);
        }
    }

    #[test]
    fn muc_mam_04_every_place_has_ids_that_lead_back_to_it(
        key in any::<[u8; 32]>(),
        stamp in 0..1i64 << 47,
        sequence in 0..1u64 << 55,
        salt in any::<[u8; 3]>(),
    ) {
        let place = Place { stamp: Timestamp(stamp), sequence: Sequence(sequence) };
        let ids = Ids::new(&ChannelKey(key));
        prop_assert_eq!(ids.decode(ids.encode(place, salt)), place);
    }

    #[test]
    fn muc_hist_08_history_is_an_end_of_the_tail_within_all_limits(
        count in 0..30usize,
        max_stanzas in prop::option::of(0..30u64),
        seconds in prop::option::of(0..40u64),
        since in prop::option::of(-10..40i64),
        max in 0..30u32,
        later in 0..30usize,
    ) {
        let mut table = Table::room();
        table.joins(HAG, "thirdwitch").ok();
        for _ in 0..count {
            table.says(HAG, "x").ok();
            table.passes(1000);
        }
        let (until, now) = (table.roster().at(), table.now);
        for _ in 0..later {
            table.says(HAG, "x").ok();
        }
        let since = since.map(|s| Timestamp(START.0 + s * 1000));
        let wanted = HistoryRequest { max_chars: None, max_stanzas, seconds, since };
        let tail: Vec<_> = table.channel.tail().entries().cloned().collect();
        let tail: Vec<_> = tail.into_iter().filter(|r| r.sequence <= until).collect();
        let chosen = table.channel.tail().select(wanted, max, now, until);
        prop_assert!(tail.ends_with(&chosen));
        let fits = |chosen: &[std::sync::Arc<coven_core::Record>]| {
            let oldest = seconds.map(|s| Timestamp(now.0 - s as i64 * 1000)).max(since);
            chosen.len() as u64 <= max_stanzas.unwrap_or(u64::MAX).min(u64::from(max))
                && oldest.is_none_or(|from| chosen.iter().all(|r| r.stamp >= from))
        };
        prop_assert!(fits(&chosen));
        // and it is the longest such end
        if chosen.len() < tail.len() {
            prop_assert!(!fits(&tail[tail.len() - chosen.len() - 1..]));
        }
    }
}
