//! `[archive]`: how long messages are kept.

use std::num::NonZeroU64;
use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;

use super::check::Checker;
use super::value::{Period, Size, from_text};

/// `[archive]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Archive {
    /// After what time a message leaves the archive: a duration of at least a minute, or `"forever"`.
    pub max_age: MaxAge,
    /// How many messages of one channel are kept; the oldest go first. Unset: as many as there are.
    pub max_count: Option<NonZeroU64>,
    /// Bound for the archives of all channels together, in Redis: the oldest messages go first. Unset: what fits.
    pub max_bytes: Option<Size>,
}

/// After what time a message leaves the archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum MaxAge {
    /// Messages do not leave by age.
    Forever,
    /// After this time.
    After(Duration),
}

impl Default for MaxAge {
    fn default() -> Self {
        Self::After(Duration::from_secs(365 * 24 * 60 * 60))
    }
}

impl FromStr for MaxAge {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "forever" {
            return Ok(Self::Forever);
        }
        let Period(age) = text
            .parse()
            .map_err(|e: String| format!("{e}, or \"forever\""))?;
        Ok(Self::After(age))
    }
}

from_text!(MaxAge);

impl Archive {
    /// Checks the section.
    pub(super) fn check(&self, checker: &mut Checker<'_>) {
        if matches!(self.max_age, MaxAge::After(age) if age < Duration::from_secs(60)) {
            checker.refuse("archive.max-age", "shorter than one minute");
        }
    }
}
