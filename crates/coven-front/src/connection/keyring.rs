//! The secrets of a connection: which is tried next (design §6).

use secrecy::{ExposeSecret, SecretString};

use crate::options::Secrets;

/// The secrets of a connection, and the one that is in use.
#[derive(Debug)]
pub(crate) struct Keyring {
    source: Secrets,
    secrets: Vec<SecretString>,
    at: usize,
    refused: usize,
}

/// What follows from a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Another secret may be the right one.
    TryNext,
    /// None of them was accepted.
    Exhausted,
}

impl Keyring {
    pub(crate) const fn new(source: Secrets) -> Self {
        Self {
            source,
            secrets: Vec::new(),
            at: 0,
            refused: 0,
        }
    }

    /// The secret to be tried, for each stream that is opened: the source is read again, since the file may hold another
    /// by now. Where it cannot be read, the last ones serve.
    ///
    /// Errors: one line for the log.
    pub(crate) fn current(&mut self) -> Result<&SecretString, String> {
        match self.source.read() {
            Ok(secrets) => {
                self.take(secrets);
            }
            Err(error) if self.secrets.is_empty() => return Err(error),
            Err(_) => {}
        }
        let none = || "there is none".to_owned();
        self.secrets.get(self.at).ok_or_else(none)
    }

    /// The present one was accepted.
    pub(crate) const fn accepted(&mut self) {
        self.refused = 0;
    }

    /// The present one was not accepted: they are read again, since the file may hold a newer one.
    pub(crate) fn refused(&mut self) -> Refusal {
        if self.source.read().is_ok_and(|secrets| self.take(secrets)) {
            return Refusal::TryNext;
        }
        self.refused += 1;
        self.at = (self.at + 1) % self.secrets.len().max(1);
        if self.refused < self.secrets.len() {
            return Refusal::TryNext;
        }
        self.refused = 0;
        Refusal::Exhausted
    }
}

impl Keyring {
    /// These hold now; begins with the first if they are others than before. Tells whether they are.
    fn take(&mut self, secrets: Vec<SecretString>) -> bool {
        let differs = !same(&self.secrets, &secrets);
        if differs {
            self.secrets = secrets;
            (self.at, self.refused) = (0, 0);
        }
        differs
    }
}

fn same(a: &[SecretString], b: &[SecretString]) -> bool {
    let equal = |(a, b): (&SecretString, &SecretString)| a.expose_secret() == b.expose_secret();
    a.len() == b.len() && a.iter().zip(b).all(equal)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use std::sync::{Arc, Mutex};

    fn current(keyring: &mut Keyring) -> String {
        keyring.current().unwrap().expose_secret().to_owned()
    }

    fn given(secrets: &[&str]) -> Secrets {
        Secrets::given(secrets.iter().copied().map(SecretString::from).collect())
    }

    #[test]
    fn the_next_secret_is_tried_until_one_is_accepted() {
        let mut keyring = Keyring::new(given(&["new", "old"]));
        assert_eq!(current(&mut keyring), "new");
        assert_eq!(keyring.refused(), Refusal::TryNext);
        assert_eq!(current(&mut keyring), "old");
        keyring.accepted();
        assert_eq!(current(&mut keyring), "old");
        assert_eq!(keyring.refused(), Refusal::TryNext);
        assert_eq!(current(&mut keyring), "new");
        assert_eq!(keyring.refused(), Refusal::Exhausted);
    }

    #[test]
    fn a_file_is_read_again_after_a_refusal() {
        let file = Arc::new(Mutex::new(vec!["old"]));
        let read = Arc::clone(&file);
        let mut keyring = Keyring::new(Secrets::read_with(move || {
            let lines = read.lock().unwrap();
            Ok(lines.iter().copied().map(SecretString::from).collect())
        }));
        assert_eq!(current(&mut keyring), "old");
        assert_eq!(keyring.refused(), Refusal::Exhausted);
        *file.lock().unwrap() = vec!["new"];
        assert_eq!(keyring.refused(), Refusal::TryNext);
        assert_eq!(current(&mut keyring), "new");
    }

    #[test]
    fn a_file_is_read_again_for_each_stream() {
        let file = Arc::new(Mutex::new(Ok(vec!["old"])));
        let read = Arc::clone(&file);
        let mut keyring = Keyring::new(Secrets::read_with(move || {
            let lines = read.lock().unwrap().clone()?;
            Ok(lines.into_iter().map(SecretString::from).collect())
        }));
        assert_eq!(current(&mut keyring), "old");
        keyring.accepted();
        *file.lock().unwrap() = Ok(vec!["new", "old"]);
        assert_eq!(current(&mut keyring), "new");
        *file.lock().unwrap() = Err("being replaced".to_owned());
        assert_eq!(current(&mut keyring), "new");
    }

    #[test]
    fn no_secret_is_an_error_and_not_a_loop() {
        let mut keyring = Keyring::new(given(&[]));
        assert!(keyring.current().is_err());
        assert_eq!(keyring.refused(), Refusal::Exhausted);
    }
}
