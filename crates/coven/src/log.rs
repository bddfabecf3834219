//! The log: text for people or JSON for machines, to standard error, one object per line.
//!
//! What operators act on carries the field `event` with one of the names of [`EVENTS`]. Values come from outside: a nick
//! or a JID may hold line breaks, escape sequences of terminals, or what looks like another field. Each line therefore
//! goes through `escape`, and in text a value that could be taken for something else is put in quotes (S-66). Bodies
//! of messages and secrets are never logged; a panic is logged without the text that was computed for it.

use std::fmt::{self, Write as _};
use std::io;
use std::panic::PanicHookInfo;

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, MakeWriter};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{Format, Log};

/// The values of the field `event`; tests and operators rely on them.
pub const EVENTS: [&str; 14] = [
    "ready",
    "upstream-up",
    "upstream-down",
    "shard-claimed",
    "shard-lost",
    "fenced",
    "suspended",
    "resumed",
    "store-down",
    "store-up",
    "store-replaced",
    "draining",
    "drained",
    "quarantined",
];

/// Starts logging to standard error, panics included. Called once, at the start; later calls change nothing.
pub fn init(config: &Log) {
    if subscriber(config, io::stderr).try_init().is_ok() {
        std::panic::set_hook(Box::new(log_panic));
    }
}

type Boxed = Box<dyn Subscriber + Send + Sync>;

fn subscriber<W>(config: &Log, writer: W) -> Boxed
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let builder = tracing_subscriber::fmt()
        .with_env_filter(config.level.filter())
        .with_ansi(false)
        .with_writer(writer);
    match config.format {
        Format::Text => Box::new(builder.event_format(Text).finish()),
        Format::Json => Box::new(
            builder
                .json()
                .flatten_event(true)
                .map_event_format(Json)
                .finish(),
        ),
    }
}

/// Logs a panic without what it was formatted with: that may quote what people wrote.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let location = panic
        .location()
        .map(ToString::to_string)
        .unwrap_or_default();
    let message = panic
        .payload()
        .downcast_ref::<&'static str>()
        .copied()
        .unwrap_or("(text computed)");
    let backtrace = std::backtrace::Backtrace::capture();
    tracing::error!(location, message, %backtrace, "panic");
}

/// JSON lines, escaped.
struct Json<F>(F);

impl<S, N, F> FormatEvent<S, N> for Json<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = String::new();
        self.0
            .format_event(context, Writer::new(&mut line), event)?;
        writeln!(writer, "{}", escape(line.trim_end_matches('\n')))
    }
}

/// Time, level, target, message, then `key=value`.
struct Text;

impl<S, N> FormatEvent<S, N> for Text
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = TextFields::default();
        event.record(&mut fields);
        SystemTime.format_time(&mut writer)?;
        let (level, target) = (event.metadata().level(), event.metadata().target());
        writeln!(
            writer,
            " {level:>5} {target}: {}",
            escape(fields.line().trim_start())
        )
    }
}

#[derive(Default)]
struct TextFields {
    message: String,
    others: String,
}

impl TextFields {
    fn line(self) -> String {
        self.message + &self.others
    }

    fn add(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.message.push_str(value);
            return;
        }
        // Writing to a string cannot fail.
        let _ = write!(self.others, " {}={}", field.name(), quote(value));
    }
}

impl Visit for TextFields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, &format!("{value:?}"));
    }
}

/// `value` in quotes unless it cannot be taken for anything else.
fn quote(value: &str) -> String {
    let plain =
        |c: char| c.is_alphanumeric() || (c.is_ascii_graphic() && !matches!(c, '"' | '=' | '\\'));
    if !value.is_empty() && value.chars().all(plain) {
        return value.to_owned();
    }
    format!("{value:?}")
}

/// `line` with all control characters, line separators and marks of writing direction as `\uXXXX`.
///
/// In JSON these may stand in strings only, so that the result is the same JSON.
fn escape(line: &str) -> String {
    let mut escaped = String::with_capacity(line.len());
    for c in line.chars() {
        if is_harmless(c) {
            escaped.push(c);
        } else {
            // Writing to a string cannot fail.
            let _ = write!(escaped, "\\u{:04x}", u32::from(c));
        }
    }
    escaped
}

fn is_harmless(c: char) -> bool {
    let directs = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{61c}');
    !(c.is_control() || directs || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}'))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use tracing::{debug, info, warn};

    use super::*;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn log(format: Format, level: &str, act: impl FnOnce()) -> String {
        let sink = Sink::default();
        let writer = sink.clone();
        let config = Log {
            format,
            level: level.parse().unwrap(),
        };
        tracing::subscriber::with_default(subscriber(&config, move || writer.clone()), act);
        let bytes = sink.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    /// What a hostile nick may hold: line breaks, terminal sequences (7 and 8 bit), quotes, direction marks.
    const HOSTILE: &str =
        "x\r\n{\"event\":\"ready\"}\u{1b}[31m\u{9b}2J\u{7f}\u{2028}\u{202e}\" event=ready";

    #[test]
    fn text_has_time_level_target_message_and_fields() {
        let line = log(
            Format::Text,
            "info",
            || info!(event = "ready", channels = 3, room = %"a@b", "serving"),
        );
        let (time, rest) = line.split_once(' ').unwrap();
        assert!(time.ends_with('Z') && time.contains('T'), "{line}");
        assert_eq!(
            rest,
            " INFO coven::log::tests: serving event=ready channels=3 room=a@b\n"
        );
    }

    #[test]
    fn json_is_one_object_per_line() {
        let lines = log(Format::Json, "info", || {
            info!(event = "ready", channels = 3, "serving");
            warn!("odd");
        });
        let objects: Vec<serde_json::Value> = lines
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(objects.len(), 2);
        assert_eq!(
            (
                objects[0]["event"].as_str(),
                objects[0]["channels"].as_i64()
            ),
            (Some("ready"), Some(3))
        );
        assert_eq!(
            (objects[0]["level"].as_str(), objects[0]["message"].as_str()),
            (Some("INFO"), Some("serving"))
        );
        assert!(objects[0]["timestamp"].is_string() && objects[0]["target"].is_string());
    }

    #[test]
    fn the_level_filters_by_part() {
        let act = || {
            debug!(target: "coven_front", "shown");
            debug!(target: "coven_node", "hidden");
        };
        let lines = log(Format::Text, "info,coven_front=debug", act);
        assert!(
            lines.contains("shown") && !lines.contains("hidden"),
            "{lines}"
        );
    }

    #[test]
    fn s_66_hostile_values_forge_nothing_in_text() {
        let line = log(
            Format::Text,
            "info",
            || info!(nick = HOSTILE, jid = %HOSTILE, other = ?HOSTILE, "{HOSTILE}"),
        );
        assert_eq!(line.matches('\n').count(), 1, "{line}");
        assert!(line.chars().all(|c| is_harmless(c) || c == '\n'), "{line}");
        let fields = line.split_once(" nick=\"").unwrap().1;
        assert!(!fields.replace("\\\"", "").contains("\" event"), "{line}");
    }

    #[test]
    fn s_66_hostile_values_forge_nothing_in_json() {
        let line = log(
            Format::Json,
            "info",
            || info!(nick = HOSTILE, jid = %HOSTILE, other = ?HOSTILE, "{HOSTILE}"),
        );
        assert_eq!(line.matches('\n').count(), 1, "{line}");
        assert!(line.chars().all(|c| is_harmless(c) || c == '\n'), "{line}");
        let object: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(
            (object["nick"].as_str(), object["jid"].as_str()),
            (Some(HOSTILE), Some(HOSTILE))
        );
        assert!(object.get("event").is_none());
    }

    #[test]
    fn plain_values_need_no_quotes() {
        for plain in ["a", "user@host/res", "1.5", "127.0.0.1:1", "ünïcode"] {
            assert_eq!(quote(plain), plain);
        }
        for (value, quoted) in [
            ("", "\"\""),
            ("a b", "\"a b\""),
            ("a=b", "\"a=b\""),
            ("a\\b", "\"a\\\\b\""),
        ] {
            assert_eq!(quote(value), quoted);
        }
    }
}
