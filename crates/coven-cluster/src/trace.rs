//! Where an operation stands in a trace, so that one trace follows a message over the link (design §3, reliability §4.4).
//!
//! A link is one long stream with one set of headers: the context of W3C Trace Context therefore travels with each operation
//! and each output. Nothing here knows a telemetry library: the binary installs something that makes spans ([`install`]),
//! if it is told to; else nothing is made, and asking costs one look at an empty cell.

use std::fmt::Debug;
use std::sync::OnceLock;

/// The part of a trace that goes from one process to the next: `traceparent` of W3C Trace Context, as bytes.
///
/// Only sampled operations carry one; without telemetry there is none, and it costs nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct TraceContext {
    /// The trace, the same in every process; never all zero.
    pub trace_id: [u8; 16],
    /// The span that what follows has as its parent; never all zero.
    pub span_id: [u8; 8],
    /// `trace-flags`: bit 0 says sampled.
    pub flags: u8,
}

/// The length of [`TraceContext::to_bytes`].
pub const TRACE_CONTEXT_BYTES: usize = 25;

impl TraceContext {
    /// Trace, span, flags, in this order: what travels on a remote link.
    #[must_use]
    pub fn to_bytes(self) -> [u8; TRACE_CONTEXT_BYTES] {
        let mut bytes = [0; TRACE_CONTEXT_BYTES];
        let (trace, rest) = bytes.split_at_mut(16);
        let (span, flags) = rest.split_at_mut(8);
        trace.copy_from_slice(&self.trace_id);
        span.copy_from_slice(&self.span_id);
        flags.fill(self.flags);
        bytes
    }

    /// What [`Self::to_bytes`] wrote; `None` for any other length, and where the trace or the span is zero, which the
    /// standard calls invalid.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (trace, rest) = bytes.split_first_chunk::<16>()?;
        let (span, rest) = rest.split_first_chunk::<8>()?;
        let &[flags] = rest else { return None };
        let context = Self {
            trace_id: *trace,
            span_id: *span,
            flags,
        };
        context.is_valid().then_some(context)
    }

    /// Whether trace and span are named.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.trace_id != [0; 16] && self.span_id != [0; 8]
    }
}

/// A step of an operation's way; each is one span.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// A front-end has read a stanza and gives it to a node.
    Read,
    /// A channel decides, and applies what it decided.
    Decide,
    /// From the decision until the store has made it durable.
    Commit,
    /// A front-end renders it and hands it over to its streams.
    Render,
}

impl Step {
    /// The name of the span; stable, documented in `docs/metrics.md`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "front read",
            Self::Decide => "node decide",
            Self::Commit => "node commit",
            Self::Render => "front render",
        }
    }
}

/// Makes spans.
pub trait Tracing: Debug + Send + Sync {
    /// Begins a span now; `None` if this trace is not sampled. Without a parent it is the first of its trace.
    fn begin(&self, step: Step, parent: Option<TraceContext>) -> Option<Span>;
}

/// What is behind a [`Span`]: ends it when dropped.
pub trait Recording: Debug + Send + Sync {
    /// Where it stands: what comes after has it as its parent.
    fn context(&self) -> TraceContext;
}

/// A span that is going on, and ends when it is dropped.
#[derive(Debug)]
pub struct Span(Box<dyn Recording>);

impl Span {
    /// Of a recording.
    #[must_use]
    pub fn new(recording: Box<dyn Recording>) -> Self {
        Self(recording)
    }

    /// What goes with an operation or an output, so that what follows is a child of this.
    #[must_use]
    pub fn context(&self) -> TraceContext {
        self.0.context()
    }
}

static TRACING: OnceLock<Box<dyn Tracing>> = OnceLock::new();

/// From now on spans are made. Once for a process: a second call changes nothing, and says so.
pub fn install(tracing: Box<dyn Tracing>) -> bool {
    TRACING.set(tracing).is_ok()
}

/// Begins a trace, if there is telemetry and it is sampled.
#[must_use]
pub fn begin(step: Step) -> Option<Span> {
    TRACING.get()?.begin(step, None)
}

/// Goes on with a trace, if there is one.
#[must_use]
pub fn follow(step: Step, parent: Option<TraceContext>) -> Option<Span> {
    let parent = parent?;
    TRACING.get()?.begin(step, Some(parent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_comes_back_from_its_bytes() {
        let context = TraceContext {
            trace_id: *b"0123456789abcdef",
            span_id: *b"ghijklmn",
            flags: 1,
        };
        let bytes = context.to_bytes();
        assert_eq!(&bytes, b"0123456789abcdefghijklmn\x01");
        assert_eq!(TraceContext::from_bytes(&bytes), Some(context));
    }

    #[test]
    fn what_is_no_context_is_none() {
        assert_eq!(TraceContext::from_bytes(&[]), None);
        assert_eq!(TraceContext::from_bytes(&[1; 24]), None);
        assert_eq!(TraceContext::from_bytes(&[1; 26]), None);
        assert_eq!(TraceContext::from_bytes(&[0; 25]), None);
    }
}
