//! `[http]`: health for probes, and administration.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use secrecy::SecretString;
use serde::Deserialize;

use super::check::Checker;
use super::value::from_text;

/// `[http]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Http {
    /// Address and port of `/livez` and `/readyz`, or `"off"`. Port 0 takes a free one; the log names it. Give it an
    /// address that only probes can reach: whoever reads it learns the addresses of upstreams.
    pub listen: Listen,
    /// Turns on the administration interface: a file with the token that `coven admin` needs.
    pub admin_token_file: Option<PathBuf>,
}

impl Http {
    /// The token of the administration interface, if that is on. `base`: directory of the configuration file.
    pub(super) fn token(&self, base: &Path, checker: &mut Checker<'_>) -> Option<SecretString> {
        let file = base.join(self.admin_token_file.as_ref()?);
        let key = "http.admin-token-file";
        match std::fs::read_to_string(&file) {
            Ok(token) if token.trim().len() >= MIN_TOKEN => Some(token.trim().into()),
            Ok(_) => {
                let why = format!(
                    "a token of at least {MIN_TOKEN} characters is needed in {}",
                    file.display()
                );
                checker.refuse(key, why);
                None
            }
            Err(error) => {
                checker.refuse(key, format!("cannot read {}: {error}", file.display()));
                None
            }
        }
    }
}

/// Shorter tokens can be guessed.
const MIN_TOKEN: usize = 16;

/// Whether and where to listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Listen {
    /// No HTTP.
    Off,
    /// On this address.
    At(SocketAddr),
}

impl Default for Listen {
    fn default() -> Self {
        Self::At(SocketAddr::from(([127, 0, 0, 1], 8088)))
    }
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "off" {
            return Ok(Self::Off);
        }
        text.parse().map(Self::At).map_err(|_| {
            format!("{text:?} is not an IP address with a port, for example \"127.0.0.1:8088\", or \"off\"")
        })
    }
}

from_text!(Listen);
