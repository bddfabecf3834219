//! `[log]`: what is logged, and how.

use std::str::FromStr;

use serde::Deserialize;
use tracing_subscriber::EnvFilter;

use super::value::{from_text, one_of};

/// `[log]`. The log goes to standard error, one object per line.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Log {
    /// `"text"` for people, `"json"` for machines.
    pub format: Format,
    /// What is logged: `error`, `warn`, `info`, `debug` or `trace`, for all or by part, as in
    /// `"info,coven_front=debug"`.
    pub level: Level,
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Format {
    /// Time, level, part, message, then `key=value`.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        one_of(text, &[("text", Self::Text), ("json", Self::Json)], &[])
    }
}

/// A filter that has been found to be valid.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Level(String);

impl Default for Level {
    fn default() -> Self {
        Self("info".to_owned())
    }
}

impl Level {
    /// The filter for the subscriber. Unless asked for by name, actors' own spans are left out: nothing is said of them
    /// at `info`, and each would cost memory as long as its channel is loaded.
    #[must_use]
    pub fn filter(&self) -> EnvFilter {
        EnvFilter::builder().parse_lossy(format!("ractor=warn,{}", self.0))
    }
}

impl FromStr for Level {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |e: String| {
            format!(
                "{text:?} is not a log filter such as \"info\" or \"info,coven_front=debug\": {e}"
            )
        };
        if text.trim().is_empty() {
            return Err(wrong("it is empty".to_owned()));
        }
        EnvFilter::builder()
            .parse(text)
            .map_err(|e| wrong(e.to_string()))?;
        Ok(Self(text.to_owned()))
    }
}

from_text!(Format, Level);
