//! `[store]`: where channels are kept.
//!
//! Source: design §7, §9. What the address of a Redis may look like is `coven_store`'s to say; here it is only checked, and
//! never shown: it may hold a password.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use coven_store::redis;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::check::Checker;
use super::value::{from_text, one_of};

/// What the keys in Redis begin with, unless something else is configured.
const PREFIX: &str = "coven";
/// The longest prefix.
const MAX_PREFIX: usize = 64;

/// `[store]` as written.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct StoreSection {
    /// `sqlite:PATH`, relative to the directory of the configuration file, or the address of a Redis.
    pub(crate) url: StoreUrl,
    /// When a commit counts as durable. Unset: `sync` on SQLite; on Redis `replica` if it has replicas, else `primary`.
    pub(crate) durability: Option<Durability>,
    /// How many shards the channels are spread over. Fixed when the store is first opened.
    pub(crate) shards: u16,
    /// What all keys in Redis begin with. Unset: `coven`. Services that share a Redis need one each.
    pub(crate) prefix: Option<Prefix>,
    /// Refuse to start on an empty Redis. Unset: no.
    pub(crate) must_exist: Option<bool>,
}

impl Default for StoreSection {
    fn default() -> Self {
        Self {
            url: StoreUrl::Sqlite(PathBuf::from("coven.db")),
            durability: None,
            shards: 1024,
            prefix: None,
            must_exist: None,
        }
    }
}

/// Where the store is, as written. Shows no password.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
pub(crate) enum StoreUrl {
    Sqlite(PathBuf),
    Redis(SecretString),
}

impl FromStr for StoreUrl {
    type Err = String;

    /// Never quotes the text: the address of a Redis may hold a password.
    fn from_str(text: &str) -> Result<Self, String> {
        let (scheme, rest) = text.split_once(':').unwrap_or((text, ""));
        if scheme == "redis" || scheme == "rediss" || scheme.contains('+') {
            redis::check_url(text).map_err(said)?;
            return Ok(Self::Redis(SecretString::from(text)));
        }
        if scheme != "sqlite" || rest.is_empty() {
            let why = "the store is sqlite:PATH, for example \"sqlite:coven.db\", or a Redis: redis://HOST, rediss://HOST, \
                redis+sentinel://HOST,HOST/NAME or redis+cluster://HOST,HOST";
            return Err(why.to_owned());
        }
        Ok(Self::Sqlite(PathBuf::from(rest)))
    }
}

/// What is wrong with an address.
fn said(error: coven_store::Error) -> String {
    match error {
        coven_store::Error::Unfit(why) => why,
        error => error.to_string(),
    }
}

/// When a commit counts as durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) enum Durability {
    /// SQLite: after the data is on the disk; many commits share one flush.
    Sync,
    /// SQLite: after it has been handed to the operating system, which is made to write it every second. A crash of the
    /// machine, not of coven, can lose the last second.
    Interval,
    /// Redis: after one replica has it.
    Replica,
    /// Redis: after one replica has it on its disk.
    ReplicaFsync,
    /// Redis: after the primary has taken it in.
    Primary,
}

impl FromStr for Durability {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let choices = [
            ("sync", Self::Sync),
            ("interval", Self::Interval),
            ("replica", Self::Replica),
            ("replica-fsync", Self::ReplicaFsync),
            ("primary", Self::Primary),
        ];
        one_of(text, &choices, &[])
    }
}

/// What all keys in Redis begin with.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Prefix(String);

impl FromStr for Prefix {
    type Err = String;

    /// Braces and what patterns are made of stay out: a brace would decide where keys lie in a cluster.
    fn from_str(text: &str) -> Result<Self, String> {
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':');
        if text.is_empty() || text.len() > MAX_PREFIX || !text.chars().all(fits) {
            return Err(format!(
                "a prefix is 1 to {MAX_PREFIX} letters, digits or -_.:"
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

from_text!(StoreUrl, Durability, Prefix);

/// The checked `[store]`.
#[derive(Clone, Debug)]
pub struct Store {
    /// Where channels are kept.
    pub place: Place,
    /// Number of shards, at least 1. The store refuses another number than the one it was made with.
    pub shards: u16,
}

/// Where channels are kept.
#[derive(Clone, Debug)]
pub enum Place {
    /// In a file.
    Sqlite {
        /// The file.
        path: PathBuf,
        /// Flush it every second, not with each commit.
        interval: bool,
    },
    /// In Redis.
    Redis(Redis),
}

/// A store in Redis.
#[derive(Clone, Debug)]
pub struct Redis {
    /// Where it is, with its password.
    pub url: SecretString,
    /// When a commit counts as durable; `None` to do what its replicas allow.
    pub durability: Option<redis::Durability>,
    /// What all keys begin with.
    pub prefix: String,
    /// Refuse an empty one.
    pub must_exist: bool,
    /// Most bytes that all archives together may take (`[archive] max-bytes`).
    pub archive_bytes: Option<u64>,
}

impl fmt::Display for Store {
    /// The file, or the address without user and password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Sqlite { path, .. } => write!(f, "{}", path.display()),
            Place::Redis(redis) => f.write_str(&redis::shown_url(redis.url.expose_secret())),
        }
    }
}

impl StoreSection {
    /// Checks the section; `base` is the directory of the configuration file.
    pub(super) fn resolve(self, base: &Path, checker: &mut Checker<'_>) -> Store {
        if self.shards == 0 {
            checker.refuse("store.shards", "at least one shard is needed");
        }
        let shards = self.shards;
        let place = match &self.url {
            StoreUrl::Sqlite(path) => self.sqlite(base.join(path), checker),
            StoreUrl::Redis(url) => self.redis(url.clone(), checker),
        };
        Store { place, shards }
    }

    fn sqlite(&self, path: PathBuf, checker: &mut Checker<'_>) -> Place {
        let of_redis = [
            ("store.prefix", self.prefix.is_some()),
            ("store.must-exist", self.must_exist.is_some()),
        ];
        for (key, _) in of_redis.iter().filter(|(_, given)| *given) {
            checker.refuse(key, "only a store in Redis has it");
        }
        let interval = match self.durability {
            None | Some(Durability::Sync) => false,
            Some(Durability::Interval) => true,
            Some(_) => {
                let why = "a store in SQLite has \"sync\" or \"interval\"";
                checker.refuse("store.durability", why);
                false
            }
        };
        Place::Sqlite { path, interval }
    }

    fn redis(&self, url: SecretString, checker: &mut Checker<'_>) -> Place {
        let durability = match self.durability {
            None => None,
            Some(Durability::Replica) => Some(redis::Durability::Replica),
            Some(Durability::ReplicaFsync) => Some(redis::Durability::ReplicaFsync),
            Some(Durability::Primary) => Some(redis::Durability::Primary),
            Some(Durability::Sync | Durability::Interval) => {
                let why = "a store in Redis has \"replica\", \"replica-fsync\" or \"primary\"";
                checker.refuse("store.durability", why);
                None
            }
        };
        let prefix = self.prefix.as_ref();
        Place::Redis(Redis {
            url,
            durability,
            prefix: prefix.map_or_else(|| PREFIX.to_owned(), |Prefix(prefix)| prefix.clone()),
            must_exist: self.must_exist.unwrap_or_default(),
            archive_bytes: None,
        })
    }
}
