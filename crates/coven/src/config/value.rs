//! The kinds of values that the file and the environment hold: domains, addresses, durations, sizes, rates.
//!
//! Each kind is parsed where it is read, so that a wrong value is reported with its line. What must hold between
//! keys is in [`super::check`].

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jid::{BareJid, DomainPart, Jid};
use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};

/// A domain in its normalised form (nameprep, as in the address of a stanza).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct DomainName(String);

impl DomainName {
    /// The normalised name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DomainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for DomainName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |why: String| format!("{text:?} is not a domain name: {why}");
        let normal = DomainPart::new(text).map_err(|e| wrong(e.to_string()))?;
        let normal = normal.as_str();
        if let Some(c) = normal.chars().find(|c| !fits_domain(*c)) {
            return Err(wrong(format!("it contains {c:?}")));
        }
        Ok(Self(normal.to_owned()))
    }
}

/// Whether `c` may occur in a domain: letters, digits and marks of any script, hyphen, dot, and what IP literals need.
fn fits_domain(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '-' | '.' | '_' | ':' | '[' | ']')
}

/// A bare JID `user@domain`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct UserJid(BareJid);

impl UserJid {
    /// The address as the jid crate has it.
    #[must_use]
    pub fn jid(&self) -> &BareJid {
        &self.0
    }
}

impl FromStr for UserJid {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let jid = Jid::new(text).map_err(|e| format!("{text:?} is not a JID: {e}"))?;
        match jid.try_into_full() {
            Err(bare) if bare.node().is_some() => Ok(Self(bare)),
            _ => Err(format!(
                "{text:?} is not the bare JID of a person: write user@domain"
            )),
        }
    }
}

/// Host and port of an upstream. The host is a name, an IPv4 address, or an IPv6 address in brackets.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct HostPort {
    host: String,
    port: u16,
}

impl HostPort {
    /// Name or address, without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// TCP port, never 0.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            return write!(f, "[{}]:{}", self.host, self.port);
        }
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl FromStr for HostPort {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        split_host_port(text).ok_or_else(|| {
            format!("{text:?} is not host:port (for example \"127.0.0.1:5347\" or \"[::1]:5347\")")
        })
    }
}

fn split_host_port(text: &str) -> Option<HostPort> {
    let (host, port) = text.rsplit_once(':')?;
    let port = port.parse().ok().filter(|port| *port != 0)?;
    let host = match host.strip_prefix('[') {
        Some(rest) => rest
            .strip_suffix(']')
            .filter(|ip| ip.parse::<std::net::Ipv6Addr>().is_ok())?,
        None => Some(host).filter(|host| is_host(host))?,
    };
    Some(HostPort {
        host: host.to_owned(),
        port,
    })
}

/// A DNS name or an IPv4 address: 1 to 255 letters, digits, hyphens, underscores and dots.
fn is_host(host: &str) -> bool {
    let fits = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
    (1..=255).contains(&host.len()) && host.chars().all(fits)
}

/// A length of time: a whole number with its unit, `ms`, `s`, `m` (minutes), `h` or `d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct Period(pub Duration);

impl FromStr for Period {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        period(text).map(Self).ok_or_else(|| {
            format!("{text:?} is not a duration: a whole number with ms, s, m, h or d, for example \"10m\"")
        })
    }
}

fn period(text: &str) -> Option<Duration> {
    let split = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(split);
    let number: u64 = number.parse().ok()?;
    if unit == "ms" {
        return Some(Duration::from_millis(number));
    }
    number.checked_mul(seconds(unit)?).map(Duration::from_secs)
}

/// Seconds in one of `unit`.
fn seconds(unit: &str) -> Option<u64> {
    match unit {
        "s" => Some(1),
        "m" => Some(60),
        "h" => Some(60 * 60),
        "d" => Some(24 * 60 * 60),
        _ => None,
    }
}

/// How often something may happen: `"10/10s"` is ten times in ten seconds, `"5/s"` five times a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Rate {
    /// How many, at least 1.
    pub count: u32,
    /// In what time, more than zero.
    pub per: Duration,
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        rate(text).ok_or_else(|| {
            format!("{text:?} is not a rate: a number, a slash and a time, for example \"10/10s\", \"5/s\" or \"10/h\"")
        })
    }
}

fn rate(text: &str) -> Option<Rate> {
    let (count, per) = text.split_once('/')?;
    let count = count.parse().ok().filter(|count| *count != 0)?;
    let per = match seconds(per) {
        Some(seconds) => Duration::from_secs(seconds),
        None => period(per).filter(|per| !per.is_zero())?,
    };
    Some(Rate { count, per })
}

/// A number of bytes: a whole number, or text with the unit `KiB`, `MiB` or `GiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub usize);

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        size(text)
            .map(Self)
            .ok_or_else(|| not_a_size(&format!("{text:?}")))
    }
}

fn size(text: &str) -> Option<usize> {
    let split = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let factor = match unit.trim_start() {
        "" => 1,
        "KiB" => 1024,
        "MiB" => 1024 * 1024,
        "GiB" => 1024 * 1024 * 1024,
        _ => return None,
    };
    number.parse::<usize>().ok()?.checked_mul(factor)
}

fn not_a_size(text: &str) -> String {
    format!("{text} is not a size: bytes as a whole number, or text such as \"256KiB\"")
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SizeVisitor)
    }
}

struct SizeVisitor;

impl Visitor<'_> for SizeVisitor {
    type Value = Size;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a size in bytes")
    }

    fn visit_i64<E: de::Error>(self, bytes: i64) -> Result<Size, E> {
        usize::try_from(bytes)
            .map(Size)
            .map_err(|_| E::custom(not_a_size(&bytes.to_string())))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Size, E> {
        text.parse().map_err(E::custom)
    }
}

/// A key that a later version brings. It is refused, whatever its value: a setting without effect would be a lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Later;

impl<'de> Deserialize<'de> for Later {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        de::IgnoredAny::deserialize(deserializer)?;
        Err(de::Error::custom(NOT_IN_THIS_VERSION))
    }
}

/// What every refusal of something that a later version brings says.
pub(crate) const NOT_IN_THIS_VERSION: &str = "not in this version";

/// Picks the value that `text` names. `later` are names that a later version brings.
///
/// Errors: one line that names the choices, or says that the value is [`NOT_IN_THIS_VERSION`].
pub(super) fn one_of<T: Copy>(
    text: &str,
    choices: &[(&str, T)],
    later: &[&str],
) -> Result<T, String> {
    if let Some((_, value)) = choices.iter().find(|(name, _)| *name == text) {
        return Ok(*value);
    }
    if later.contains(&text) {
        return Err(format!("{text:?} is {NOT_IN_THIS_VERSION}"));
    }
    let names: Vec<String> = choices
        .iter()
        .map(|(name, _)| format!("{name:?}"))
        .collect();
    Err(format!("{text:?} is not one of {}", names.join(", ")))
}

/// Lets serde read types that know how to parse text.
macro_rules! from_text {
    ($($type:ty),+ $(,)?) => {$(
        impl TryFrom<String> for $type {
            type Error = String;

            fn try_from(text: String) -> Result<Self, String> {
                text.parse()
            }
        }
    )+};
}
pub(super) use from_text;

from_text!(DomainName, UserJid, HostPort, Period, Rate);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn domain_names_are_normalised() {
        assert_eq!(
            "Chat.EXAMPLE".parse::<DomainName>().unwrap().as_str(),
            "chat.example"
        );
        assert_eq!(
            "chat.example.".parse::<DomainName>().unwrap().as_str(),
            "chat.example"
        );
    }

    #[test]
    fn what_is_no_domain_is_refused() {
        for text in ["", "a@b", "chat.example/x", "a b", "a<b", "chat.example\n"] {
            let error = text.parse::<DomainName>().unwrap_err();
            assert!(error.contains("is not a domain name"), "{text:?}: {error}");
        }
    }

    #[test]
    fn admins_are_bare_jids_of_people() {
        assert_eq!(
            "Admin@Localhost".parse::<UserJid>().unwrap().jid().as_str(),
            "admin@localhost"
        );
        for text in ["localhost", "a@b/c", "@b", "a@", ""] {
            assert!(text.parse::<UserJid>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn addresses_are_host_and_port() {
        for text in [
            "127.0.0.1:5347",
            "xmpp.example:5347",
            "[::1]:5347",
            "my_pod-0.svc:1",
        ] {
            assert_eq!(text.parse::<HostPort>().unwrap().to_string(), text);
        }
        assert_eq!("[::1]:5347".parse::<HostPort>().unwrap().host(), "::1");
        for text in [
            "localhost",
            "localhost:",
            ":5347",
            "::1:5347",
            "a:0",
            "a:65536",
            "a b:1",
            "[x]:1",
            "a/b:1",
        ] {
            assert!(text.parse::<HostPort>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn durations_have_a_number_and_a_unit() {
        for (text, seconds) in [("10m", 600), ("365d", 31_536_000), ("2h", 7200), ("0s", 0)] {
            assert_eq!(
                text.parse::<Period>().unwrap().0,
                Duration::from_secs(seconds),
                "{text}"
            );
        }
        assert_eq!(
            "250ms".parse::<Period>().unwrap().0,
            Duration::from_millis(250)
        );
        for text in [
            "",
            "10",
            "m",
            "1.5h",
            "-1s",
            "10 m",
            "1w",
            "10min",
            "99999999999999999999d",
            "18446744073709551615d",
        ] {
            assert!(text.parse::<Period>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn rates_have_a_count_and_a_time() {
        let second = Duration::from_secs(1);
        assert_eq!(
            "5/s".parse(),
            Ok(Rate {
                count: 5,
                per: second
            })
        );
        assert_eq!(
            "10/10s".parse(),
            Ok(Rate {
                count: 10,
                per: 10 * second
            })
        );
        assert_eq!(
            "10/h".parse(),
            Ok(Rate {
                count: 10,
                per: 3600 * second
            })
        );
        for text in ["", "5", "0/s", "5/0s", "/s", "5/", "-1/s", "1/2/s"] {
            assert!(text.parse::<Rate>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn sizes_have_bytes_or_a_unit() {
        for (text, bytes) in [("10000", 10_000), ("256KiB", 262_144), ("1 MiB", 1_048_576)] {
            assert_eq!(text.parse::<Size>().unwrap().0, bytes, "{text}");
        }
        for text in [
            "",
            "KiB",
            "1KB",
            "-1",
            "99999999999999999999",
            "18446744073709551615MiB",
        ] {
            assert!(text.parse::<Size>().is_err(), "{text:?}");
        }
    }
}
