//! Who may see real JIDs (I8; XEP-0045 §4.2, XEP-0404 §2.2).

use crate::table::{HAG, OWNER, Table, WITCH};
use coven_core::command::View;
use coven_core::people::visibility::{Viewer, Visibility, sees_jids};
use coven_core::{Affiliation, Role};

#[test]
fn i8_muc_pres_15_muc_anon_01_03_map_47_48_49_the_whole_table() {
    use Affiliation::{Admin, Member, Outcast, Owner};
    use Role::{Moderator, Participant, Visitor};
    for visibility in [
        Visibility::Visible,
        Visibility::Hidden,
        Visibility::Optional,
    ] {
        for affiliation in [Outcast, Affiliation::None, Member, Admin, Owner] {
            for role in [Role::None, Visitor, Participant, Moderator] {
                let sees = sees_jids(visibility, Viewer { affiliation, role });
                let expected = match visibility {
                    Visibility::Visible => affiliation != Outcast,
                    _ => role == Moderator || affiliation >= Admin,
                };
                assert_eq!(sees, expected, "{visibility:?} {affiliation:?} {role:?}");
            }
        }
    }
}

#[test]
fn map_48_a_moderator_by_role_sees_jids_in_muc_only() {
    let mut t = Table::room();
    t.joins(HAG, "thirdwitch").ok();
    t.joins(WITCH, "secondwitch").ok();
    t.gives(OWNER, "thirdwitch", Role::Moderator).ok();
    let sees = |jid: &str, view| t.roster().sees_jids(&t.seen(jid).person, view);
    assert!(sees(HAG, View::Muc) && !sees(HAG, View::Mix));
    assert!(!sees(WITCH, View::Muc) && !sees(WITCH, View::Mix));
    assert!(sees(OWNER, View::Muc) && sees(OWNER, View::Mix));
}

#[test]
fn visibility_holds_from_the_event_that_changed_it() {
    let mut t = Table::room();
    t.joins(HAG, "thirdwitch").ok();
    let sees = |t: &Table| t.roster().sees_jids(&t.seen(HAG).person, View::Muc);
    assert!(!sees(&t));
    t.sets(|c| c.visibility = Visibility::Visible);
    assert!(sees(&t));
    t.sets(|c| c.visibility = Visibility::Hidden);
    assert!(!sees(&t));
}
