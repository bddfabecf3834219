//! `[store]`: where channels are kept.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::Deserialize;

use super::check::Checker;
use super::value::{Later, NOT_IN_THIS_VERSION, from_text, one_of};

/// `[store]` as written.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct StoreSection {
    /// `sqlite:PATH`, relative to the directory of the configuration file.
    pub(crate) url: StoreUrl,
    /// When a commit counts as durable.
    pub(crate) durability: Durability,
    /// How many shards the channels are spread over. Fixed when the store is first opened.
    pub(crate) shards: u16,
    /// Prefix of the keys in Redis.
    pub(crate) prefix: Option<Later>,
    /// Refuse to start on an empty Redis.
    pub(crate) must_exist: Option<Later>,
}

impl Default for StoreSection {
    fn default() -> Self {
        Self {
            url: StoreUrl {
                path: PathBuf::from("coven.db"),
            },
            durability: Durability::Sync,
            shards: 1024,
            prefix: None,
            must_exist: None,
        }
    }
}

/// Where the SQLite file is, as written.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct StoreUrl {
    path: PathBuf,
}

impl FromStr for StoreUrl {
    type Err = String;

    /// Never quotes the text: the URL of a Redis may hold a password.
    fn from_str(text: &str) -> Result<Self, String> {
        let (scheme, rest) = text.split_once(':').unwrap_or((text, ""));
        if matches!(
            scheme,
            "redis" | "rediss" | "redis+sentinel" | "redis+cluster"
        ) {
            return Err(format!(
                "{scheme} is {NOT_IN_THIS_VERSION}: use sqlite:PATH"
            ));
        }
        if scheme != "sqlite" || rest.is_empty() {
            return Err("the store is sqlite:PATH, for example \"sqlite:coven.db\"".to_owned());
        }
        Ok(Self {
            path: PathBuf::from(rest),
        })
    }
}

/// When a commit counts as durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Durability {
    /// After the data is on the disk; many commits share one flush.
    Sync,
    /// After it has been handed to the operating system, which is made to write it every second. A crash of the
    /// machine, not of coven, can lose the last second.
    Interval,
}

impl FromStr for Durability {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let choices = [("sync", Self::Sync), ("interval", Self::Interval)];
        one_of(text, &choices, &["replica", "replica-fsync", "primary"])
    }
}

from_text!(StoreUrl, Durability);

/// The checked `[store]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    /// The SQLite file.
    pub path: PathBuf,
    /// When a commit counts as durable.
    pub durability: Durability,
    /// Number of shards, at least 1. The store refuses another number than the one it was made with.
    pub shards: u16,
}

impl StoreSection {
    /// Checks the section; `base` is the directory of the configuration file.
    pub(super) fn resolve(self, base: &Path, checker: &mut Checker<'_>) -> Store {
        if self.shards == 0 {
            checker.refuse("store.shards", "at least one shard is needed");
        }
        Store {
            path: base.join(self.url.path),
            durability: self.durability,
            shards: self.shards,
        }
    }
}
