//! `[[domain]]`: the domains that are served, and what channels there are like.

use std::fmt;
use std::time::Duration;

use jid::{BareJid, Jid};
use serde::Deserialize;
use serde::de::{self, Deserializer, SeqAccess, Visitor};

use super::check::Checker;
use super::defaults::Defaults;
use super::value::{DomainName, Period, UserJid, from_text, one_of};

/// `[[domain]]` as written.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct DomainSection {
    /// The domain, for example `chat.example.org`. Needed.
    pub(crate) name: Option<DomainName>,
    /// The protocols served under this name: `["muc", "mix"]` (default), or one of them.
    pub(crate) protocols: Option<Vec<Protocol>>,
    /// The other domain of a pair that shows the same channels, one by MUC and one by MIX.
    pub(crate) mirror: Option<DomainName>,
    /// What the names of channels live in. Default: the name of the domain, of the MUC domain in a pair.
    pub(crate) space: Option<DomainName>,
    /// The name that people read in service discovery. Default: `Group chat`.
    pub(crate) title: Option<String>,
    /// Whom to write to about the service (XEP-0157).
    pub(crate) contacts: Contacts,
    /// Who may create channels: `"anyone"` (default), `"local"`, `"admins"`, or a list of JIDs and domains.
    pub(crate) create: Option<Create>,
    /// How many messages of history a join brings at most, 0 to 20. Default 20.
    pub(crate) history: Option<u16>,
    /// After what time a new channel that its creator did not configure is destroyed. Default `"1h"`. `"off"`: new
    /// channels need no configuring and are open at once.
    pub(crate) lock_timeout: Option<LockTimeout>,
    /// Nobody may change the nick while in a channel. Default false.
    pub(crate) lock_nicks: Option<bool>,
    /// What new channels are like.
    pub(crate) defaults: Option<Defaults>,
    /// Administrators of the service: bare JIDs. They may always create channels, and destroy any (MIX-DES-01).
    pub(crate) admins: Option<Vec<UserJid>>,
}

/// A protocol that a domain serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Protocol {
    /// XEP-0045.
    Muc,
    /// XEP-0369.
    Mix,
}

impl std::str::FromStr for Protocol {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        one_of(text, &[("muc", Self::Muc), ("mix", Self::Mix)], &[])
    }
}

/// Contact addresses, all URIs (`mailto:`, `xmpp:`, `https:`). MUC-DISCO-30, XEP-0157.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Contacts {
    /// About abuse.
    pub abuse: Vec<String>,
    /// To the administrators.
    pub admin: Vec<String>,
    /// Praise and blame.
    pub feedback: Vec<String>,
    /// About buying.
    pub sales: Vec<String>,
    /// About security.
    pub security: Vec<String>,
    /// Where the state of the service is published.
    pub status: Vec<String>,
    /// Help.
    pub support: Vec<String>,
}

impl Contacts {
    /// The fields of the form that publishes them, with their addresses. XEP-0157 §3.
    #[must_use]
    pub fn fields(&self) -> [(&'static str, &[String]); 7] {
        [
            ("abuse-addresses", &self.abuse),
            ("admin-addresses", &self.admin),
            ("feedback-addresses", &self.feedback),
            ("sales-addresses", &self.sales),
            ("security-addresses", &self.security),
            ("status-addresses", &self.status),
            ("support-addresses", &self.support),
        ]
    }
}

/// Who may create channels. MUC-ADMIN-08, MAP-40: the same for both protocols.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Create {
    /// Everybody who can reach the service.
    #[default]
    Anyone,
    /// People of the domains in `hosts` of the upstreams of this domain.
    Local,
    /// Administrators of the service only.
    Admins,
    /// These people, and the people of these domains.
    Listed(Vec<BareJid>),
}

impl<'de> Deserialize<'de> for Create {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CreateVisitor)
    }
}

struct CreateVisitor;

impl<'de> Visitor<'de> for CreateVisitor {
    type Value = Create;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"anyone\", \"local\", \"admins\", or a list of JIDs and domains")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Create, E> {
        let choices = [("anyone", 0), ("local", 1), ("admins", 2)];
        match one_of(text, &choices, &[]) {
            Ok(0) => Ok(Create::Anyone),
            Ok(1) => Ok(Create::Local),
            Ok(_) => Ok(Create::Admins),
            Err(e) => Err(E::custom(format!("{e}, or a list of JIDs and domains"))),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Create, A::Error> {
        let mut listed = Vec::new();
        while let Some(text) = list.next_element::<String>()? {
            listed.push(bare(&text).map_err(de::Error::custom)?);
        }
        Ok(Create::Listed(listed))
    }
}

/// A person or a domain.
fn bare(text: &str) -> Result<BareJid, String> {
    let jid = Jid::new(text).map_err(|e| format!("{text:?} is not a JID: {e}"))?;
    jid.try_into_full()
        .err()
        .ok_or_else(|| format!("{text:?} has a resource: write user@domain or domain"))
}

/// How long a new channel stays locked. MUC-CREATE-09, MUC-CREATE-11.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum LockTimeout {
    /// Not at all: it is open at once.
    Off,
    /// Until it is configured; after this time it is destroyed.
    After(Duration),
}

impl Default for LockTimeout {
    fn default() -> Self {
        Self::After(Duration::from_secs(60 * 60))
    }
}

impl std::str::FromStr for LockTimeout {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "off" {
            return Ok(Self::Off);
        }
        let Period(time) = text
            .parse()
            .map_err(|e: String| format!("{e}, or \"off\""))?;
        if time < MIN_LOCK_TIMEOUT {
            return Err(format!(
                "{text:?} is shorter than one second: use \"off\" for no lock"
            ));
        }
        Ok(Self::After(time))
    }
}

from_text!(Protocol, LockTimeout);

/// A checked `[[domain]]`. The two of a mirrored pair have the same space, create, history, lock time-out, lock on nicks,
/// defaults and admins.
#[derive(Clone, Debug)]
pub struct Domain {
    /// The domain.
    pub name: DomainName,
    /// Whether MUC is served under this name.
    pub muc: bool,
    /// Whether MIX is served under this name. At least one of the two is true.
    pub mix: bool,
    /// The other domain of a mirrored pair.
    pub mirror: Option<DomainName>,
    /// What the names of channels live in.
    pub space: DomainName,
    /// The name that people read.
    pub title: String,
    /// Contact addresses.
    pub contacts: Contacts,
    /// Who may create channels.
    pub create: Create,
    /// How many messages of history a join brings at most.
    pub history: u16,
    /// How long a new channel stays locked.
    pub lock_timeout: LockTimeout,
    /// Whether nicks are locked down. MUC-NICK-06.
    pub lock_nicks: bool,
    /// What new channels are like.
    pub defaults: Defaults,
    /// Administrators of the service.
    pub admins: Vec<BareJid>,
}

/// Checks all `[[domain]]` sections, each alone and in pairs.
pub(super) fn resolve(sections: &[DomainSection], checker: &mut Checker<'_>) -> Vec<Domain> {
    if sections.is_empty() {
        checker.refuse("domain", "at least one [[domain]] is needed");
    }
    let mut domains: Vec<Domain> = Vec::new();
    for (index, section) in sections.iter().enumerate() {
        let key = format!("domain[{index}]");
        let Some(name) = &section.name else {
            checker.refuse(
                &key,
                "it needs a name, for example name = \"chat.localhost\"",
            );
            continue;
        };
        if domains.iter().any(|other| other.name == *name) {
            checker.refuse(&format!("{key}.name"), format!("{name} is given twice"));
            continue;
        }
        let twin = twin(sections, section, name);
        domains.push(section.resolve(&key, name, twin, checker));
    }
    domains
}

/// The section that a mirroring one points to, if that one points back.
fn twin<'a>(
    sections: &'a [DomainSection],
    of: &DomainSection,
    name: &DomainName,
) -> Option<&'a DomainSection> {
    let mirror = of.mirror.as_ref()?;
    let other = sections
        .iter()
        .find(|other| other.name.as_ref() == Some(mirror))?;
    (other.mirror.as_ref() == Some(name) && mirror != name).then_some(other)
}

impl DomainSection {
    fn resolve(
        &self,
        key: &str,
        name: &DomainName,
        twin: Option<&Self>,
        checker: &mut Checker<'_>,
    ) -> Domain {
        self.check_protocols(key, checker);
        self.check_mirror(key, twin, checker);
        self.check_texts(key, checker);
        let mut pair = Pair { key, twin, checker };
        Domain {
            name: name.clone(),
            muc: self.serves(Protocol::Muc),
            mix: self.serves(Protocol::Mix),
            mirror: self.mirror.clone(),
            space: pair
                .pick("space", self, |s| s.space.as_ref())
                .unwrap_or_else(|| self.own_space(name)),
            title: self
                .title
                .clone()
                .unwrap_or_else(|| DEFAULT_TITLE.to_owned()),
            contacts: self.contacts.clone(),
            create: pair
                .pick("create", self, |s| s.create.as_ref())
                .unwrap_or_default(),
            history: pair
                .pick("history", self, |s| s.history.as_ref())
                .unwrap_or(MAX_HISTORY),
            lock_timeout: pair
                .pick("lock-timeout", self, |s| s.lock_timeout.as_ref())
                .unwrap_or_default(),
            lock_nicks: pair
                .pick("lock-nicks", self, |s| s.lock_nicks.as_ref())
                .unwrap_or_default(),
            defaults: pair
                .pick("defaults", self, |s| s.defaults.as_ref())
                .unwrap_or_default(),
            admins: jids(
                &pair
                    .pick("admins", self, |s| s.admins.as_ref())
                    .unwrap_or_default(),
            ),
        }
    }

    /// Whether `protocol` is served under this name.
    fn serves(&self, protocol: Protocol) -> bool {
        self.protocols
            .as_ref()
            .is_none_or(|all| all.contains(&protocol))
    }

    /// The space when none is named: the MUC domain of a pair, else the domain itself.
    fn own_space(&self, name: &DomainName) -> DomainName {
        match &self.mirror {
            Some(mirror) if !self.serves(Protocol::Muc) => mirror.clone(),
            _ => name.clone(),
        }
    }

    fn check_protocols(&self, key: &str, checker: &mut Checker<'_>) {
        if self.protocols.as_ref().is_some_and(Vec::is_empty) {
            checker.refuse(
                &format!("{key}.protocols"),
                "at least one of \"muc\" and \"mix\" is needed",
            );
        }
    }

    /// Both point to each other, one serves MUC only, the other MIX only. XEP-0408 option 3.
    fn check_mirror(&self, key: &str, twin: Option<&Self>, checker: &mut Checker<'_>) {
        let Some(mirror) = &self.mirror else { return };
        let key = format!("{key}.mirror");
        let Some(twin) = twin else {
            checker.refuse(
                &key,
                format!("{mirror} must be another [[domain]] whose mirror is this one"),
            );
            return;
        };
        let muc = [self.serves(Protocol::Muc), twin.serves(Protocol::Muc)];
        let mix = [self.serves(Protocol::Mix), twin.serves(Protocol::Mix)];
        if !(muc[0] != muc[1] && mix[0] != mix[1] && muc[0] != mix[0]) {
            checker.refuse(
                &key,
                "of a mirrored pair one serves [\"muc\"] and the other [\"mix\"]",
            );
        }
    }

    fn check_texts(&self, key: &str, checker: &mut Checker<'_>) {
        if self.title.as_ref().is_some_and(|title| !is_title(title)) {
            checker.refuse(
                &format!("{key}.title"),
                "1 to 255 characters without control characters are needed",
            );
        }
        for (field, addresses) in self.contacts.fields() {
            let kind = field.trim_end_matches("-addresses");
            for (index, address) in addresses.iter().enumerate() {
                if !is_uri(address) {
                    let key = format!("{key}.contacts.{kind}[{index}]");
                    checker.refuse(
                        &key,
                        format!("{address:?} is not a URI such as \"mailto:admin@example.org\""),
                    );
                }
            }
        }
        if self.history.is_some_and(|history| history > MAX_HISTORY) {
            checker.refuse(
                &format!("{key}.history"),
                format!("more than {MAX_HISTORY}: older messages are in the archive"),
            );
        }
    }
}

/// The settings that the two domains of a pair share: given in one of them, or the same in both.
struct Pair<'a, 'b, 'c> {
    key: &'a str,
    twin: Option<&'a DomainSection>,
    checker: &'b mut Checker<'c>,
}

impl Pair<'_, '_, '_> {
    fn pick<T: Clone + PartialEq>(
        &mut self,
        name: &str,
        own: &DomainSection,
        field: impl Fn(&DomainSection) -> Option<&T>,
    ) -> Option<T> {
        let (mine, other) = (field(own), self.twin.and_then(&field));
        if matches!((mine, other), (Some(mine), Some(other)) if mine != other) {
            let key = format!("{}.{name}", self.key);
            self.checker.refuse(
                &key,
                "the two domains of a mirrored pair differ here: give it in one of them",
            );
        }
        mine.or(other).cloned()
    }
}

fn jids(users: &[UserJid]) -> Vec<BareJid> {
    users.iter().map(|user| user.jid().clone()).collect()
}

fn is_title(text: &str) -> bool {
    (1..=255).contains(&text.chars().count()) && !text.chars().any(char::is_control)
}

/// Scheme, colon, and something without spaces and control characters after it.
fn is_uri(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else {
        return false;
    };
    let letter = scheme.starts_with(|c: char| c.is_ascii_alphabetic());
    let scheme = scheme
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
    letter
        && scheme
        && !rest.is_empty()
        && !rest.contains(|c: char| c.is_whitespace() || c.is_control())
}

const DEFAULT_TITLE: &str = "Group chat";
/// The history that is kept at hand for joins.
const MAX_HISTORY: u16 = coven_core::content::history::MAX_ENTRIES as u16;
const MIN_LOCK_TIMEOUT: Duration = Duration::from_secs(1);
