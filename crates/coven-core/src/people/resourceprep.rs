//! What servers make of a resourcepart: the Resourceprep profile (RFC 6122, appendix B) of stringprep (RFC 3454).
//!
//! A nick is the resource of its occupant's address in MUC, also one that was set through MIX: servers prepare the address,
//! and a stanza from one that they refuse goes nowhere. Characters that the tables do not know pass as they do in servers
//! ("unassigned" is allowed where addresses are not stored), so emoji do. What else a nick must be is in [`super::nick`].

use stringprep::tables;
use unicode_normalization::UnicodeNormalization;

/// Maps and normalises: what is left is what servers have in addresses.
pub(super) fn mapped(raw: &str) -> String {
    let is_kept = |c: &char| !tables::commonly_mapped_to_nothing(*c);
    raw.chars().filter(is_kept).nfkc().collect()
}

/// Whether mapped text is a resource to every server.
pub(super) fn accepted(text: &str) -> bool {
    if text.chars().any(prohibited) {
        return false;
    }
    // Some libraries take directions from tables of their time, others from those of Unicode 3.2.
    text.is_ascii() || is_one_way(text, direction) && is_one_way(text, direction_of_old)
}

/// Source: RFC 6122 appendix B.5.
fn prohibited(c: char) -> bool {
    tables::non_ascii_space_character(c)
        || tables::ascii_control_character(c)
        || tables::non_ascii_control_character(c)
        || tables::private_use(c)
        || tables::non_character_code_point(c)
        || tables::inappropriate_for_plain_text(c)
        || tables::inappropriate_for_canonical_representation(c)
        || tables::change_display_properties_or_deprecated(c)
        || tables::tagging_character(c)
}

/// Text with a character that runs from right to left has none of the other direction, and both its ends are such.
///
/// Source: RFC 3454 §6.
fn is_one_way(text: &str, direction: fn(char) -> Direction) -> bool {
    let is = |wanted: Direction| move |c: char| direction(c) == wanted;
    let ends = [text.chars().next(), text.chars().next_back()];
    !text.chars().any(is(Direction::Right))
        || ends.into_iter().flatten().all(is(Direction::Right))
            && !text.chars().any(is(Direction::Left))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Left,
    Right,
    None,
}

/// By the tables of Unicode 3.2, on which RFC 3454 stands.
fn direction_of_old(c: char) -> Direction {
    match c {
        c if tables::unassigned_code_point(c) => Direction::None,
        c if tables::bidi_r_or_al(c) => Direction::Right,
        c if tables::bidi_l(c) => Direction::Left,
        _ => Direction::None,
    }
}

/// By newer tables, of whatever age: where a server's do not know a character yet, its block decides.
fn direction(c: char) -> Direction {
    match c {
        c if tables::bidi_r_or_al(c) => Direction::Right,
        c if !tables::unassigned_code_point(c) => direction_of_old(c),
        '\u{590}'..='\u{8ff}'
        | '\u{fb1d}'..='\u{fdff}'
        | '\u{fe70}'..='\u{feff}'
        | '\u{10800}'..='\u{10fff}'
        | '\u{1e800}'..='\u{1efff}' => Direction::Right,
        _ => Direction::Left,
    }
}
