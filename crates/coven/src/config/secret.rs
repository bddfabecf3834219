//! Secrets: how they are read, and that they never show.
//!
//! Nothing here prints a secret: not `Debug`, not an error about a value of the wrong type (S-63). Comparing secrets is
//! not this module's business: the handshake of XEP-0114 sends a hash and compares nothing.

use std::fmt;
use std::path::{Path, PathBuf};

use secrecy::SecretString;
use serde::Deserialize;
use serde::de::{self, Deserializer, SeqAccess, Visitor};

/// One secret, or a list of which the next is tried when the upstream answers not-authorized.
#[derive(Clone, Debug, Default)]
pub struct Secrets(Vec<SecretString>);

impl Secrets {
    /// The secrets in the order in which they are tried.
    #[must_use]
    pub fn as_slice(&self) -> &[SecretString] {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Secrets {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SecretsVisitor)
    }
}

/// Reads text or a list of text; every error is the same words, so that none can carry the value.
struct SecretsVisitor;

impl SecretsVisitor {
    fn wrong_type<T, E: de::Error>() -> Result<T, E> {
        Err(E::custom("a secret is text in quotes, or a list of such"))
    }
}

impl<'de> Visitor<'de> for SecretsVisitor {
    type Value = Secrets;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text in quotes, or a list of such")
    }

    fn visit_str<E: de::Error>(self, secret: &str) -> Result<Secrets, E> {
        Ok(Secrets(vec![SecretString::from(secret)]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Secrets, A::Error> {
        let mut all = Vec::new();
        while let Some(Secrets(one)) = list.next_element()? {
            all.extend(one);
        }
        Ok(Secrets(all))
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<Secrets, E> {
        Self::wrong_type()
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<Secrets, E> {
        Self::wrong_type()
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<Secrets, E> {
        Self::wrong_type()
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<Secrets, E> {
        Self::wrong_type()
    }

    fn visit_map<A: de::MapAccess<'de>>(self, _: A) -> Result<Secrets, A::Error> {
        Self::wrong_type()
    }
}

/// Where the secret of an upstream comes from.
#[derive(Clone, Debug)]
pub enum SecretSource {
    /// `secret`, from the file or the environment.
    Given(Secrets),
    /// `secret-file`: read at start, and again whenever a stream is opened anew.
    File(PathBuf),
}

impl SecretSource {
    /// The secrets in the order in which they are tried; never empty.
    ///
    /// Errors: one line that names the file when it cannot be read or holds no secret.
    pub fn read(&self) -> Result<Secrets, String> {
        match self {
            Self::Given(secrets) => Ok(secrets.clone()),
            Self::File(path) => read_file(path),
        }
    }
}

impl SecretSource {
    /// Whether others on this machine can read the secret.
    pub(super) fn warning(&self) -> Option<String> {
        let Self::File(path) = self else { return None };
        is_open(path).then(|| {
            let path = path.display();
            format!("{path} can be read by others on this machine: chmod 600 {path}")
        })
    }
}

#[cfg(unix)]
fn is_open(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).is_ok_and(|of| of.permissions().mode() & 0o077 != 0)
}

#[cfg(not(unix))]
const fn is_open(_: &Path) -> bool {
    false
}

/// Each line that is not empty is a secret.
fn read_file(path: &Path) -> Result<Secrets, String> {
    let text = std::fs::read_to_string(path)
        .map_err(|e| format!("cannot read {}: {e}", path.display()))?;
    let lines = text.lines().filter(|line| !line.is_empty());
    let secrets: Vec<SecretString> = lines.map(SecretString::from).collect();
    if secrets.is_empty() {
        return Err(format!("{} holds no secret", path.display()));
    }
    Ok(Secrets(secrets))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use secrecy::ExposeSecret;

    #[derive(Debug, Deserialize)]
    struct Holder {
        secret: Secrets,
    }

    fn exposed(secrets: &Secrets) -> Vec<&str> {
        secrets
            .as_slice()
            .iter()
            .map(ExposeSecret::expose_secret)
            .collect()
    }

    #[test]
    fn a_secret_is_text_or_a_list() {
        let one: Holder = toml::from_str("secret = 'a'").unwrap();
        assert_eq!(exposed(&one.secret), ["a"]);
        let two: Holder = toml::from_str("secret = ['a', 'b']").unwrap();
        assert_eq!(exposed(&two.secret), ["a", "b"]);
    }

    #[test]
    fn s_63_debug_never_shows_a_secret() {
        let holder: Holder = toml::from_str("secret = ['canary-1', 'canary-2']").unwrap();
        let source = SecretSource::Given(holder.secret.clone());
        let shown = format!("{holder:?} {holder:#?} {source:?}");
        assert!(!shown.contains("canary"), "{shown}");
    }

    #[test]
    fn s_63_errors_about_a_secret_never_show_it() {
        for value in [
            "4711471147",
            "4711471.147",
            "true",
            "1979-05-27",
            "{ a = 4711471147 }",
            "[4711471147]",
        ] {
            let text = format!("secret = {value}");
            let error = toml::from_str::<Holder>(&text).unwrap_err();
            let message = error.message();
            assert!(
                !message.contains("4711") && !message.contains("1979"),
                "{value}: {message}"
            );
        }
    }

    #[cfg(unix)]
    #[test]
    fn s_63_a_secret_that_others_can_read_is_warned_about() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        std::fs::write(&path, "s").unwrap();
        let with_mode = |mode| {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            SecretSource::File(path.clone()).warning()
        };
        assert_eq!(with_mode(0o600), None);
        assert_eq!(with_mode(0o400), None);
        for mode in [0o644, 0o640, 0o604] {
            let warning = with_mode(mode).unwrap();
            assert!(
                warning.contains("chmod 600") && warning.contains("secret"),
                "{warning}"
            );
        }
    }

    #[test]
    fn a_secret_file_holds_one_secret_per_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        std::fs::write(&path, "new\r\n\nold\n").unwrap();
        let secrets = SecretSource::File(path.clone()).read().unwrap();
        assert_eq!(exposed(&secrets), ["new", "old"]);

        std::fs::write(&path, "\n").unwrap();
        let error = SecretSource::File(path).read().unwrap_err();
        assert!(error.ends_with("secret holds no secret"), "{error}");
    }
}
