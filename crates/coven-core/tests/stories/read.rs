//! Who may read the archive (XEP-0313 §6.1.2; MAP-06, MAP-64).

use crate::table::{HAG, HAG2, OWNER, THANE, Table, WITCH, bare};
use coven_core::command::View;
use coven_core::people::visibility::Visibility;
use coven_core::query::{ArchivePage, ArchiveQuery, With};
use coven_core::{Affiliation, Answer, Condition, ErrorType, Query, Role};

fn everything() -> ArchiveQuery {
    ArchiveQuery {
        view: None,
        with: None,
        start: None,
        end: None,
        before_id: None,
        after_id: None,
        ids: Vec::new(),
        after: None,
        before: None,
        max: None,
        flip: false,
    }
}

fn read(t: &Table, jid: &str, query: ArchiveQuery) -> Result<ArchivePage, Condition> {
    let bounds = t.asks(jid, Query::ArchiveBounds { view: View::Muc });
    match t.asks(jid, Query::Archive(Box::new(query))) {
        Ok(Answer::Archive(page)) => {
            assert_eq!(
                bounds,
                Ok(Answer::Bounds(None)),
                "the same access: MUC-MAM-16"
            );
            Ok(*page)
        }
        Ok(answer) => panic!("{answer:?}"),
        Err(refusal) => {
            assert_eq!(bounds, Err(refusal.clone()));
            if refusal.condition == Condition::Forbidden {
                assert_eq!(refusal.kind, ErrorType::Auth);
            }
            Err(refusal.condition)
        }
    }
}

fn may(t: &Table, jid: &str) -> bool {
    read(t, jid, everything()).is_ok()
}

#[test]
// covers: MUC-MAM-17
fn muc_mam_16_17_map_64_an_open_rooms_archive_is_for_all_but_the_banned() {
    let mut t = Table::room();
    t.makes(HAG, Affiliation::Outcast);
    t.makes("scotland.example", Affiliation::Outcast);
    assert!(may(&t, WITCH));
    assert_eq!(read(&t, HAG, everything()), Err(Condition::Forbidden));
    assert_eq!(read(&t, THANE, everything()), Err(Condition::Forbidden));
}

#[test]
// covers: MIX-MAM-06
fn muc_mam_17_mix_mam_05_06_access_is_as_of_now() {
    let mut t = Table::room();
    t.participates(HAG, "thirdwitch").ok();
    t.makes(WITCH, Affiliation::Member);
    t.sets(|c| c.members_only = true);
    assert!(may(&t, HAG) && may(&t, WITCH));
    assert!(!may(&t, THANE));
    t.makes(HAG, Affiliation::None);
    assert!(!may(&t, HAG));
    t.makes("scotland.example", Affiliation::Member);
    assert!(may(&t, THANE));
    assert_eq!(
        read(&Table::empty(), HAG, everything()),
        Err(Condition::ItemNotFound)
    );
}

#[test]
fn muc_mam_18_a_protected_rooms_archive_is_for_affiliates_and_those_here() {
    let mut t = Table::room();
    t.joins(HAG, "thirdwitch").ok();
    t.participates(WITCH, "secondwitch").ok();
    t.sets(|c| c.password = Some("secret".into()));
    assert!(may(&t, HAG) && may(&t, WITCH) && may(&t, OWNER));
    assert!(!may(&t, THANE));
    t.leaves(HAG).ok();
    assert!(!may(&t, HAG));
}

#[test]
fn muc_mam_20_mix_mam_13_a_real_jid_finds_nothing_for_those_who_may_not_see_it() {
    let mut t = Table::room();
    t.joins(HAG, "thirdwitch").ok();
    t.joins(WITCH, "secondwitch").ok();
    let with = |jid: &str| ArchiveQuery {
        with: Some(With::Jid(bare(jid))),
        ..everything()
    };
    let count = |t: &Table, jid: &str, of: &str| read(t, jid, with(of)).unwrap().count;
    assert_eq!(count(&t, HAG, WITCH), Some(0));
    assert_eq!(count(&t, HAG, "nobody@x.example"), Some(0));
    assert_eq!(count(&t, HAG, HAG), None, "one's own is no secret");
    assert_eq!(count(&t, OWNER, WITCH), None);
    t.gives(OWNER, "thirdwitch", Role::Moderator).ok();
    assert_eq!(count(&t, HAG, WITCH), None);
    assert_eq!(count(&t, THANE, WITCH), Some(0));
    t.sets(|c| c.visibility = Visibility::Visible);
    assert_eq!(count(&t, THANE, WITCH), None);
}

#[test]
fn mix_mam_13_a_moderator_by_role_is_not_entitled_in_the_mix_view() {
    let mut t = Table::room();
    t.joins(HAG, "thirdwitch").ok();
    t.gives(OWNER, "thirdwitch", Role::Moderator).ok();
    let query = ArchiveQuery {
        view: Some(View::Mix),
        with: Some(With::Jid(bare(WITCH))),
        ..everything()
    };
    let page = read(&t, HAG, query).unwrap();
    assert_eq!((page.count, page.sees_jids), (Some(0), false));
}

#[test]
fn map_06_which_view_an_archive_is_read_in() {
    let mut t = Table::room();
    t.participates(HAG, "thirdwitch").ok();
    t.joins(HAG2, "thirdwitch").ok();
    let view = |t: &Table, jid: &str, named| {
        let query = ArchiveQuery {
            view: named,
            ..everything()
        };
        read(t, jid, query).unwrap().view
    };
    assert_eq!(view(&t, HAG, None), View::Mix, "a participant");
    assert_eq!(view(&t, HAG2, None), View::Muc, "a MUC session");
    assert_eq!(view(&t, WITCH, None), View::Muc, "anybody else");
    assert_eq!(view(&t, HAG2, Some(View::Mix)), View::Mix);
    t.service.muc = false;
    assert_eq!(view(&t, WITCH, None), View::Mix);
    t.service.muc = true;
    t.service.mix = false;
    assert_eq!(view(&t, HAG, None), View::Muc);
}
