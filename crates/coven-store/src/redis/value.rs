//! Answers of Redis, and values as they lie there.

use redis::Value;

use crate::SessionId;

/// The elements of an answer, as text.
pub(super) fn fields(value: &Value) -> Vec<String> {
    match value {
        Value::Array(values) => values.iter().map(text).collect(),
        _ => Vec::new(),
    }
}

/// The elements of an answer.
pub(super) fn list(value: Value) -> Vec<Value> {
    match value {
        Value::Array(values) => values,
        Value::Map(pairs) => pairs
            .into_iter()
            .flat_map(|(key, value)| [key, value])
            .collect(),
        _ => Vec::new(),
    }
}

pub(super) fn parse(number: Option<&String>) -> u64 {
    number.and_then(|it| it.parse().ok()).unwrap_or_default()
}

/// A session as the owner's hash has it.
pub(super) fn hex(session: SessionId) -> String {
    format!("{:032x}", session.0)
}

/// A session as the owner's hash has it; `None` where nobody owns the shard.
pub(super) fn session(hex: &str) -> Option<SessionId> {
    u128::from_str_radix(hex, 16).ok().map(SessionId)
}

/// A text answer.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::BulkString(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => text.clone(),
        Value::Int(number) => number.to_string(),
        _ => String::new(),
    }
}
