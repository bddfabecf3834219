//! `[[upstream]]`: the XMPP servers to attach to.

use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use secrecy::ExposeSecret;
use serde::Deserialize;

use super::check::Checker;
use super::secret::{SecretSource, Secrets};
use super::value::{DomainName, HostPort, Size, from_text, one_of};

/// `[[upstream]]` as written.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct UpstreamSection {
    /// Host and port of the server's component listener. Needed.
    pub(crate) address: Option<HostPort>,
    /// The domains that are attached there. Needed.
    pub(crate) domains: Vec<DomainName>,
    /// The component secret, or a list: the next is tried when one is not accepted.
    pub(crate) secret: Option<Secrets>,
    /// A file with the secret, one per line. Exactly one of `secret` and `secret-file` is needed.
    pub(crate) secret_file: Option<PathBuf>,
    /// Upstreams that reach the same users have the same group.
    pub(crate) group: String,
    /// How streams are opened.
    pub(crate) attach: Attach,
    /// How many nodes the server has: each is an address that the upstream's name resolves to.
    pub(crate) server_nodes: Option<NonZeroU16>,
    /// How many streams each of them gets, with `attach = "balanced"`.
    pub(crate) connections: Option<NonZeroU16>,
    /// What the ping barrier goes to: `"self"`, a host, or `"off"`. Unset: `"self"`, with `attach = "balanced"` `"off"`.
    pub(crate) barrier: Option<Barrier>,
    /// The domains of this group's users.
    pub(crate) hosts: Vec<DomainName>,
    /// The largest stanza in bytes, in both directions.
    pub(crate) max_stanza: Size,
    /// What this server does differently.
    pub(crate) quirks: Vec<Quirk>,
}

impl Default for UpstreamSection {
    fn default() -> Self {
        Self {
            address: None,
            domains: Vec::new(),
            secret: None,
            secret_file: None,
            group: "main".to_owned(),
            attach: Attach::Auto,
            server_nodes: None,
            connections: None,
            barrier: None,
            hosts: Vec::new(),
            max_stanza: Size(256 * 1024),
            quirks: Vec::new(),
        }
    }
}

/// How streams are opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Attach {
    /// `per-server-node` where the server has several nodes, else `standby`.
    Auto,
    /// One stream per domain: one front-end holds it, the others wait.
    Standby,
    /// One stream per domain and node of the server.
    PerServerNode,
    /// Several streams per domain and node of the server.
    Balanced,
}

impl FromStr for Attach {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let choices = [
            ("auto", Self::Auto),
            ("standby", Self::Standby),
            ("per-server-node", Self::PerServerNode),
            ("balanced", Self::Balanced),
        ];
        one_of(text, &choices, &[])
    }
}

/// What the ping barrier goes to.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Barrier {
    /// The stream's own domain: the server routes it back to us.
    OwnDomain,
    /// A host of the server that answers pings.
    Host(DomainName),
    /// No barrier: what was written counts as taken in.
    Off,
}

impl FromStr for Barrier {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "self" => Ok(Self::OwnDomain),
            "off" => Ok(Self::Off),
            host => host
                .parse()
                .map(Self::Host)
                .map_err(|e| format!("{e} (nor \"self\" or \"off\")")),
        }
    }
}

/// What a server does differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Quirk {
    /// Copies to MIX participants carry a second, empty `mix` element. MIX-PAMC-09.
    EjabberdPam,
}

impl FromStr for Quirk {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        one_of(text, &[("ejabberd-pam", Self::EjabberdPam)], &[])
    }
}

from_text!(Attach, Barrier, Quirk);

/// A checked `[[upstream]]`.
#[derive(Clone, Debug)]
pub struct Upstream {
    /// Where the server listens.
    pub address: HostPort,
    /// The domains that are attached there, at least one, each a [`super::Domain`].
    pub domains: Vec<DomainName>,
    /// Where the secret comes from.
    pub secret: SecretSource,
    /// Upstreams that reach the same users have the same group.
    pub group: String,
    /// How streams are opened.
    pub attach: Attach,
    /// How many nodes the server has behind the address.
    pub server_nodes: NonZeroU16,
    /// How many streams each of them gets for a domain.
    pub connections: NonZeroU16,
    /// What the ping barrier goes to.
    pub barrier: Barrier,
    /// The domains of this group's users.
    pub hosts: Vec<DomainName>,
    /// The largest outgoing stanza in bytes; incoming ones are at most 4 KiB smaller.
    pub max_stanza_bytes: usize,
    /// What this server does differently.
    pub quirks: Vec<Quirk>,
}

impl UpstreamSection {
    /// Checks one section. `base`: directory of the configuration file.
    pub(super) fn resolve(
        &self,
        key: &str,
        base: &Path,
        checker: &mut Checker<'_>,
    ) -> Option<Upstream> {
        self.check_bounds(key, checker);
        self.check_slots(key, checker);
        if self.address.is_none() {
            checker.refuse(
                key,
                "it needs an address, for example address = \"127.0.0.1:5347\"",
            );
        }
        if self.domains.is_empty() {
            checker.refuse(
                key,
                "it needs domains, for example domains = [\"chat.localhost\"]",
            );
        }
        let secret = self.secret_source(key, base, checker);
        Some(Upstream {
            address: self.address.clone()?,
            domains: self.domains.clone(),
            secret: secret?,
            group: self.group.clone(),
            attach: self.attach,
            server_nodes: self.server_nodes.unwrap_or(NonZeroU16::MIN),
            connections: self.connections.unwrap_or(match self.attach {
                Attach::Balanced => BALANCED,
                _ => NonZeroU16::MIN,
            }),
            barrier: self.barrier.clone().unwrap_or(match self.attach {
                Attach::Balanced => Barrier::Off,
                _ => Barrier::OwnDomain,
            }),
            hosts: self.hosts.clone(),
            max_stanza_bytes: self.max_stanza.0,
            quirks: self.quirks.clone(),
        })
    }

    fn check_bounds(&self, key: &str, checker: &mut Checker<'_>) {
        if !(MIN_STANZA..=MAX_STANZA).contains(&self.max_stanza.0) {
            let bounds = format!(
                "{} is outside {MIN_STANZA} to {MAX_STANZA} bytes",
                self.max_stanza.0
            );
            checker.refuse(&format!("{key}.max-stanza"), bounds);
        }
        if !is_group(&self.group) {
            let why = "1 to 64 ASCII letters, digits, dots, hyphens and underscores are needed";
            checker.refuse(&format!("{key}.group"), why);
        }
    }

    /// How many streams there are is what recipients are spread by: more than one needs a mode that has them.
    fn check_slots(&self, key: &str, checker: &mut Checker<'_>) {
        let several = |count: Option<NonZeroU16>| count.is_some_and(|count| count.get() > 1);
        if self.attach == Attach::Standby && several(self.server_nodes) {
            let why = "attach = \"standby\" has one stream: use \"per-server-node\"";
            checker.refuse(&format!("{key}.server-nodes"), why);
        }
        if self.attach != Attach::Balanced && several(self.connections) {
            let why = "several streams to one node of a server need attach = \"balanced\"";
            checker.refuse(&format!("{key}.connections"), why);
        }
        for (name, count) in [
            ("server-nodes", self.server_nodes),
            ("connections", self.connections),
        ] {
            if count.is_some_and(|count| count.get() > MAX_SLOTS) {
                let why = format!("more than {MAX_SLOTS} are not served");
                checker.refuse(&format!("{key}.{name}"), why);
            }
        }
    }

    fn secret_source(
        &self,
        key: &str,
        base: &Path,
        checker: &mut Checker<'_>,
    ) -> Option<SecretSource> {
        match (&self.secret, &self.secret_file) {
            (Some(secrets), None) => given(&format!("{key}.secret"), secrets, checker),
            (None, Some(file)) => {
                from_file(&format!("{key}.secret-file"), base.join(file), checker)
            }
            (None, None) => {
                let variable = format!(
                    "COVEN_{}__SECRET",
                    key.replace('[', "__").replace(']', "").to_uppercase()
                );
                checker.refuse(
                    key,
                    format!("it needs secret or secret-file (or the variable {variable})"),
                );
                None
            }
            (Some(_), Some(_)) => {
                checker.refuse(
                    &format!("{key}.secret-file"),
                    "give either secret or secret-file, not both",
                );
                None
            }
        }
    }
}

fn given(key: &str, secrets: &Secrets, checker: &mut Checker<'_>) -> Option<SecretSource> {
    let all = secrets.as_slice();
    if all.is_empty() || all.iter().any(|secret| secret.expose_secret().is_empty()) {
        checker.refuse(key, "it is empty");
        return None;
    }
    Some(SecretSource::Given(secrets.clone()))
}

fn from_file(key: &str, path: PathBuf, checker: &mut Checker<'_>) -> Option<SecretSource> {
    let source = SecretSource::File(path);
    match source.read() {
        Ok(_) => Some(source),
        Err(e) => {
            checker.refuse(key, e);
            None
        }
    }
}

fn is_group(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    (1..=64).contains(&text.len()) && text.chars().all(fits)
}

/// Streams for each node of a server with `attach = "balanced"`, where the configuration does not tell.
const BALANCED: NonZeroU16 = NonZeroU16::MIN.saturating_add(1);
/// Nodes of a server, and streams for each of them.
const MAX_SLOTS: u16 = 64;
/// XEP-0114 servers must take at least this much (RFC 6120 §13.12).
const MIN_STANZA: usize = 10_000;
/// Prosody closes the whole stream above this.
const MAX_STANZA: usize = 512 * 1024;
