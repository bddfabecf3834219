//! Why `serve` ended other than by a clean drain: one line that says what to do, and the exit code.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Why the service did not start, or did not end cleanly.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Another process has the port.
    #[error(
        "{address} is in use by another process: stop that one, or give [http] listen another address"
    )]
    PortTaken {
        /// The configured address.
        address: SocketAddr,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {error}: give [http] listen another address")]
    Listen {
        /// The configured address.
        address: SocketAddr,
        /// What the system says.
        error: io::Error,
    },
    /// Another process has the store.
    #[error("the store {} is in use by another process: stop that one, or give [store] url another file", .path.display())]
    StoreLocked {
        /// The file.
        path: PathBuf,
    },
    /// Others use the store.
    #[error("the store {store} is in use by {by}: stop that first, or give [store] another prefix")]
    StoreInUse {
        /// The address without its password.
        store: String,
        /// Who.
        by: String,
    },
    /// The store is of another make: other settings, or a newer version.
    #[error("the store {store} cannot be used: {why}")]
    StoreUnfit {
        /// The file, or the address without its password.
        store: String,
        /// What is wrong and what to do.
        why: String,
    },
    /// The store failed.
    #[error("the store {store} failed: {why}")]
    Store {
        /// The file, or the address without its password.
        store: String,
        /// What happened.
        why: String,
    },
    /// No stream has ever come up, and every upstream answered that it does not accept this component.
    #[error(
        "no upstream accepts coven: {refusals}: compare [[upstream]] secret and domains with the server's configuration"
    )]
    NotAccepted {
        /// Each upstream and domain with its answer.
        refusals: String,
    },
    /// The drain was not finished: a second signal came, or time ran out.
    #[error("ended before everything was drained: {why}; what was committed is not lost")]
    NotDrained {
        /// What cut it short.
        why: &'static str,
    },
    /// The environment names a collector of telemetry that cannot be one.
    #[error("the OTEL_EXPORTER_OTLP_* variables cannot be used: {why}")]
    Telemetry {
        /// What is wrong.
        why: String,
    },
    /// A node cannot take links.
    #[error("cannot take links of front-ends at {address}: {why}: see [cluster]")]
    Links {
        /// The configured address.
        address: SocketAddr,
        /// What is wrong.
        why: String,
    },
    /// The certificates of links cannot be used.
    #[error("the files of [cluster] ca, cert and key cannot be used: {why}")]
    Certificates {
        /// What is wrong.
        why: String,
    },
    /// A part of the program failed.
    #[error("{what} failed: {why}")]
    Internal {
        /// Which part.
        what: &'static str,
        /// What happened.
        why: String,
    },
    /// The system refused something that the process needs.
    #[error("cannot {what}: {error}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the system says.
        error: io::Error,
    },
}

impl Failure {
    /// 2 where starting again cannot help until somebody changes something, else 1.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::PortTaken { .. }
            | Self::Listen { .. }
            | Self::StoreLocked { .. }
            | Self::StoreInUse { .. }
            | Self::StoreUnfit { .. }
            | Self::Telemetry { .. }
            | Self::Links { .. }
            | Self::Certificates { .. }
            | Self::NotAccepted { .. } => 2,
            Self::Store { .. }
            | Self::NotDrained { .. }
            | Self::Internal { .. }
            | Self::System { .. } => 1,
        }
    }

    /// The failure of listening on `address`.
    #[must_use]
    pub fn of_listening(address: SocketAddr, error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::AddrInUse {
            return Self::PortTaken { address };
        }
        Self::Listen { address, error }
    }
}
