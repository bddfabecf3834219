//! Nicks: how they are cleaned, when two of them are the same, and who may have one (MUC-NICK-07..12, MIX-NICK-03..05,
//! MAP-10, MAP-22).
//!
//! Cleaning: what servers do to a resource (`resourceprep`), white space trimmed and collapsed; only characters that the
//! current Unicode tables know, so that emoji pass which those of stringprep and PRECIS do not (I-11), and only what is a
//! resource to every server. Two nicks clash when their keys are equal: case folded, without characters that nobody sees.
//! The shown nick keeps its case.

use super::person::Person;
use super::resourceprep;
use crate::channel::{Channel, Facts};
use crate::{Condition, ErrorType, Refusal};
use smol_str::SmolStr;
use std::sync::Arc;
use unicode_normalization::UnicodeNormalization;
use unicode_properties::{GeneralCategory, GeneralCategoryGroup, UnicodeGeneralCategory};

/// The longest nick in bytes: that of a resourcepart (RFC 7622 §3.4).
pub const MAX_BYTES: usize = 1023;

/// A cleaned nick.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Nick {
    text: SmolStr,
    key: SmolStr,
}

impl Nick {
    /// Cleans `raw`. `None` when nothing visible is left, a character is a control or unassigned, no server would take it
    /// as a resource, or it is too long.
    #[must_use]
    pub fn new(raw: &str) -> Option<Self> {
        if raw.len() > MAX_RAW_BYTES {
            return None;
        }
        let text = collapse(&resourceprep::mapped(raw));
        let key = key(&text);
        let good = text.len() <= MAX_BYTES
            && !text.chars().any(forbidden)
            && resourceprep::accepted(&text);
        (good && key.chars().any(visible)).then(|| Self {
            key: SmolStr::new(key),
            text: SmolStr::new(text),
        })
    }

    /// Takes text that was cleaned before (from a journal).
    #[must_use]
    pub fn from_clean(text: &str) -> Self {
        Self {
            key: SmolStr::new(key(text)),
            text: SmolStr::new(text),
        }
    }

    /// The nick as shown.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What clashing nicks have in common.
    #[must_use]
    pub const fn key(&self) -> &SmolStr {
        &self.key
    }

    /// Whether cleaning changed what the client asked for (status 210: MUC-NICK-07, 11).
    #[must_use]
    pub fn differs_from(&self, raw: &str) -> bool {
        self.text != raw
    }
}

/// A nick that may be used at all. Errors: `jid-malformed` (MUC-ENTER-07, MUC-NICK-08), `not-acceptable` when too long
/// (MUC-ERR-10).
pub(crate) fn allowed(raw: &str, facts: &Facts) -> Result<Nick, Refusal> {
    let nick = Nick::new(raw).ok_or_else(|| Refusal::usual(Condition::JidMalformed))?;
    if nick.as_str().len() > facts.service.max_nick_bytes {
        return Err(Refusal::usual(Condition::NotAcceptable).text("this nickname is too long"));
    }
    Ok(nick)
}

/// Refuses a nick that somebody else holds or has reserved: `conflict`. One rule for both views.
///
/// Source: MUC-ENTER-11, MUC-NICK-04, MIX-JOIN-13, MIX-NICK-03, MAP-22. Cost: two lookups.
pub(crate) fn free(channel: &Channel, nick: &Nick, for_person: &Person) -> Result<(), Refusal> {
    let other = |person: Option<&Arc<Person>>| person.is_some_and(|p| p.no != for_person.no);
    if other(channel.roster.holder(nick)) || other(channel.roster.reserver(nick)) {
        return Err(Refusal::usual(Condition::Conflict).text("this nickname is taken"));
    }
    Ok(())
}

/// The nick that holds whatever a person asks for, where nicks are locked down: the one it has, else the one reserved for it.
///
/// Source: MUC-ENTER-27; XEP-0045 §7.2.2 has the service put it in place of the one asked for.
pub(crate) fn imposed<'a>(person: &'a Person, facts: &Facts) -> Option<&'a Nick> {
    let held = person.nick.as_ref().or(person.reserved.as_deref());
    held.filter(|_| facts.service.lock_nicks)
}

/// Refuses a change of the nick where nicks are locked down: `not-acceptable`, in both views alike.
///
/// Source: MUC-NICK-06 (I-15).
pub(crate) fn changeable(person: &Person, nick: &Nick, facts: &Facts) -> Result<(), Refusal> {
    if imposed(person, facts).is_some_and(|held| held != nick) {
        let refusal = Refusal::new(Condition::NotAcceptable, ErrorType::Cancel);
        return Err(refusal.text("nicknames cannot be changed here"));
    }
    Ok(())
}

fn collapse(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
    }
    out
}

fn forbidden(c: char) -> bool {
    use GeneralCategory as G;
    matches!(
        c.general_category(),
        G::Control
            | G::Format
            | G::Unassigned
            | G::PrivateUse
            | G::Surrogate
            | G::LineSeparator
            | G::ParagraphSeparator
    )
}

fn visible(c: char) -> bool {
    use GeneralCategoryGroup as Group;
    matches!(
        c.general_category_group(),
        Group::Letter | Group::Number | Group::Punctuation | Group::Symbol
    )
}

/// Characters that show nothing by themselves: joiners, fillers, variation selectors, tags.
const fn unseen(c: char) -> bool {
    matches!(
        c,
        '\u{34f}'
            | '\u{115f}'
            | '\u{1160}'
            | '\u{17b4}'
            | '\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2800}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{ffa0}'
            | '\u{1d159}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

/// Case folding by way of upper case, so that both forms of sigma, and `ß` and `ss`, are the same.
fn key(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let folded: String = text
        .nfkc()
        .flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase)
        .filter(|c| !unseen(*c))
        .collect();
    let folded: String = folded.nfkc().collect();
    collapse(&folded)
}

/// What normalisation may be asked to shorten: bounds its work.
const MAX_RAW_BYTES: usize = 4 * MAX_BYTES;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn key_of(raw: &str) -> SmolStr {
        Nick::new(raw).unwrap().key().clone()
    }

    #[test]
    fn muc_nick_11_spaces_are_trimmed_and_collapsed() {
        let nick = Nick::new("  third   witch ").unwrap();
        assert_eq!(nick.as_str(), "third witch");
        assert!(nick.differs_from("  third   witch "));
        assert!(!nick.differs_from("third witch"));
    }

    #[test]
    fn muc_nick_12_mix_nick_03_case_width_and_unseen_characters_clash() {
        for (a, b) in [
            ("ThirdWitch", "ｔｈｉｒｄwitch"),
            ("Σίσυφος", "ΣΊΣΥΦΟΣ"),
            ("Straße", "STRASSE"),
            ("third\u{a0}witch", "third witch"),
            ("❤", "❤\u{fe0f}"),
            ("a\u{3164}", "a"),
            ("a\u{1806}b", "ab"),
            ("a\u{2800}", "a"),
            ("a\u{1d159}", "a"),
        ] {
            assert_eq!(key_of(a), key_of(b), "{a} {b}");
        }
        assert_ne!(key_of("a"), key_of("b"));
        assert_ne!(key_of("third witch"), key_of("thirdwitch"));
    }

    #[test]
    fn mix_nick_04_case_is_kept_and_cleaning_is_stable() {
        let nick = Nick::new(" Third\u{3000}Witch ").unwrap();
        assert_eq!(nick.as_str(), "Third Witch");
        assert_eq!(Nick::new(nick.as_str()), Some(nick.clone()));
        assert_eq!(Nick::from_clean(nick.as_str()), nick);
    }

    #[test]
    fn muc_nick_08_muc_enter_07_invisible_or_control_is_refused() {
        for bad in [
            "",
            "   ",
            "\u{200b}",
            "\u{200d}\u{200d}",
            "a\u{202e}b",
            "a\u{0}",
            "\u{301}",
            "\u{3164}",
            "\u{2800}",
            "\u{1d159}",
            "\u{e000}",
            "\u{378}",
            &"x".repeat(1024),
        ] {
            assert_eq!(Nick::new(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn muc_nick_10_mix_nick_05_emoji_and_long_nicks_up_to_1023_bytes() {
        assert!(Nick::new("🤖").is_some());
        assert!(Nick::new(&"x".repeat(1023)).is_some());
    }

    #[test]
    fn muc_enter_07_mix_nick_05_what_is_no_resource_is_refused() {
        for bad in [
            "🏴\u{e0067}\u{e0062}\u{e0073}\u{e0063}\u{e0074}\u{e007f}",
            "a\u{fffc}",
            "a\u{fffd}",
            "\u{2ff0}木木",
            "דוד2",
            "2דוד",
            "דוד❤",
            "דוד david",
            "דוד\u{1f9d9}",
            "דוד\u{1e922}",
            "a\u{1e922}",
            "a\u{897}",
            "ד\u{2427}ד",
        ] {
            assert_eq!(Nick::new(bad), None, "{bad:?}");
        }
        for good in ["דוד", "דוד 2 דוד", "عائشة", "𞤀𞤣𞤤𞤢𞤥", "david2", "木木"]
        {
            assert!(Nick::new(good).is_some(), "{good:?}");
        }
    }

    #[test]
    fn muc_nick_11_what_servers_drop_from_addresses_is_dropped() {
        for (raw, text) in [
            ("👩\u{200d}🚀", "👩🚀"),
            ("❤\u{fe0f}", "❤"),
            ("third\u{ad}witch", "thirdwitch"),
            ("e\u{200b}\u{301}", "é"),
        ] {
            let nick = Nick::new(raw).unwrap();
            assert_eq!(nick.as_str(), text);
            assert!(nick.differs_from(raw));
        }
    }
}
