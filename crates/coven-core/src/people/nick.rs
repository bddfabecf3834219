//! Nicks: how they are cleaned, and when two of them are the same (MUC-NICK-07..12, MIX-NICK-03..05, MAP-10, MAP-22).
//!
//! Cleaning: NFKC is left to the key; the shown nick keeps its characters, with white space trimmed and collapsed. Only
//! assigned characters without controls are taken. Two nicks clash when their keys (NFKC, case folded) are equal.

use smol_str::SmolStr;
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
    /// Cleans `raw`. Errors: `None` when nothing visible is left, a character is a control or unassigned, or it is too long.
    #[must_use]
    pub fn new(raw: &str) -> Option<Self> {
        let normal: String = raw.nfc().collect();
        let text = collapse(&normal);
        if text.len() > MAX_BYTES || text.chars().any(forbidden) || !text.chars().any(visible) {
            return None;
        }
        Some(Self {
            key: SmolStr::new(key(&text)),
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
    if matches!(c, '\u{200c}' | '\u{200d}') {
        return false; // joiners, needed inside words of some scripts and in emoji
    }
    matches!(
        c.general_category(),
        G::Control
            | G::Unassigned
            | G::PrivateUse
            | G::Surrogate
            | G::LineSeparator
            | G::ParagraphSeparator
    ) || (c.general_category() == G::Format && !matches!(c, '\u{e0020}'..='\u{e007f}'))
}

fn visible(c: char) -> bool {
    use GeneralCategoryGroup as Group;
    matches!(
        c.general_category_group(),
        Group::Letter | Group::Number | Group::Punctuation | Group::Symbol
    ) && !matches!(c, '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}')
}

fn key(text: &str) -> String {
    let folded: String = text.nfkc().flat_map(char::to_lowercase).collect();
    let folded: String = folded
        .nfkc()
        .filter(|c| !matches!(c, '\u{200c}' | '\u{200d}'))
        .collect();
    collapse(&folded)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn muc_nick_11_spaces_are_trimmed_and_collapsed() {
        let nick = Nick::new("  third   witch ").unwrap();
        assert_eq!(nick.as_str(), "third witch");
        assert!(nick.differs_from("  third   witch "));
    }

    #[test]
    fn muc_nick_12_case_and_width_clash() {
        assert_eq!(
            Nick::new("ThirdWitch").unwrap().key(),
            Nick::new("ｔｈｉｒｄwitch").unwrap().key()
        );
        assert_ne!(Nick::new("a").unwrap().key(), Nick::new("b").unwrap().key());
    }

    #[test]
    fn muc_nick_08_muc_enter_07_invisible_or_control_is_refused() {
        for bad in [
            "",
            "   ",
            "\u{200b}",
            "a\u{202e}b",
            "a\u{0}",
            "\u{301}",
            "\u{3164}",
            &"x".repeat(1024),
        ] {
            assert_eq!(Nick::new(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn muc_nick_10_mix_nick_05_emoji_and_long_nicks_up_to_1023_bytes() {
        assert!(Nick::new("🤖").is_some());
        assert!(Nick::new("👩‍🚀").is_some());
        assert!(Nick::new(&"x".repeat(1023)).is_some());
    }
}
