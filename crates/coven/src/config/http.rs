//! `[http]`: health for probes.

use std::net::SocketAddr;
use std::str::FromStr;

use serde::Deserialize;

use super::value::{Later, from_text};

/// `[http]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Http {
    /// Address and port of `/livez` and `/readyz`, or `"off"`. Port 0 takes a free one; the log names it. Give it an
    /// address that only probes can reach: whoever reads it learns the addresses of upstreams.
    pub listen: Listen,
    /// Turns on the administration interface.
    pub(crate) admin_token_file: Option<Later>,
}

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
