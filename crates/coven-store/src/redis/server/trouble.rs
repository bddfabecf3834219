//! What is made of the errors of Redis.
//!
//! Told apart is what a caller has to do: wait, find out, ask somebody else, or give up.

use redis::{ErrorKind, RedisError};

use crate::Error;

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::redis) enum Trouble {
    /// There is no connection: nothing was sent.
    Unreachable(String),
    /// The connection broke: not known what was done.
    Lost(String),
    /// Another store than the one that is known: nothing was sent.
    Replaced(String),
    /// We may not use it: nothing was sent.
    Denied(String),
}

impl Trouble {
    /// Why there is no connection.
    pub(super) fn of_connecting(error: &RedisError) -> Self {
        match refusal(error) {
            Error::Denied(why) => Self::Denied(why),
            _ => Self::Unreachable(error.to_string()),
        }
    }

    /// Whether somebody who waits may see it go away.
    pub(in crate::redis) const fn may_pass(&self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::Lost(_))
    }

    /// For one who changes nothing: there is no doubt about what was done.
    pub(in crate::redis) fn of_reading(self) -> Error {
        match self {
            Self::Lost(why) => Self::Unreachable(why).into(),
            other => other.into(),
        }
    }
}

impl From<Trouble> for Error {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Unreachable(why) => Self::Io(format!("redis cannot be reached: {why}")),
            Trouble::Lost(why) => Self::Unknown(format!("the connection to redis broke: {why}")),
            Trouble::Replaced(why) => Self::Replaced(why),
            Trouble::Denied(why) => Self::Denied(why),
        }
    }
}

/// The server takes no writes, or takes them no more: another one may (design §5.5). Nothing was done.
pub(in crate::redis) fn is_elsewhere(error: &RedisError) -> bool {
    matches!(code(error), "READONLY" | "MASTERDOWN" | "UNBLOCKED")
}

/// The server does not do it now, and will by itself. Nothing was done.
pub(in crate::redis) fn is_passing(error: &RedisError) -> bool {
    let not_now = matches!(
        code(error),
        "LOADING"
            | "TRYAGAIN"
            | "CLUSTERDOWN"
            | "NOREPLICAS"
            | "BUSY"
            | "NOSCRIPT"
            | "MOVED"
            | "ASK"
    );
    not_now || is_elsewhere(error)
}

/// What a refusal of the server means: nothing was done.
pub(in crate::redis) fn refusal(error: &RedisError) -> Error {
    match code(error) {
        "OOM" => Error::Full("the memory of redis is used up: maxmemory".to_owned()),
        "MISCONF" => Error::Full("redis cannot write to its disk".to_owned()),
        "NOPERM" | "NOAUTH" | "WRONGPASS" => Error::Denied(
            error
                .detail()
                .map_or_else(|| error.to_string(), str::to_owned),
        ),
        _ => Error::Io(error.to_string()),
    }
}

fn code(error: &RedisError) -> &str {
    match error.kind() {
        ErrorKind::AuthenticationFailed => "WRONGPASS",
        _ => error.code().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use redis::ServerErrorKind;

    use super::*;

    fn of(kind: impl Into<ErrorKind>) -> RedisError {
        (kind.into(), "said by the server").into()
    }

    #[test]
    fn what_passes_is_told_from_what_does_not() {
        for kind in [ServerErrorKind::ReadOnly, ServerErrorKind::MasterDown] {
            assert!(is_elsewhere(&of(kind)) && is_passing(&of(kind)), "{kind:?}");
        }
        for kind in [
            ServerErrorKind::BusyLoading,
            ServerErrorKind::TryAgain,
            ServerErrorKind::ClusterDown,
            ServerErrorKind::NoScript,
        ] {
            assert!(
                !is_elsewhere(&of(kind)) && is_passing(&of(kind)),
                "{kind:?}"
            );
        }
        assert!(!is_passing(&of(ServerErrorKind::ResponseError)));
        assert!(matches!(
            refusal(&of(ServerErrorKind::NoPerm)),
            Error::Denied(_)
        ));
    }
}
