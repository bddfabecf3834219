//! What an act led to, and what a story may demand of it.

use coven_core::channel::Output;
use coven_core::event::{Event, Message, Record};
use coven_core::{Answer, Condition, Delta, ErrorType, Refusal};
use std::sync::Arc;

#[derive(Debug)]
pub struct Outcome {
    pub refusal: Option<Refusal>,
    pub records: Vec<Arc<Record>>,
    pub deltas: Vec<Delta>,
    pub outputs: Vec<Output>,
}

impl Outcome {
    pub fn refusal(refusal: Refusal) -> Self {
        Self {
            refusal: Some(refusal),
            records: Vec::new(),
            deltas: Vec::new(),
            outputs: Vec::new(),
        }
    }

    pub fn success(records: Vec<Arc<Record>>, deltas: Vec<Delta>, outputs: Vec<Output>) -> Self {
        Self {
            refusal: None,
            records,
            deltas,
            outputs,
        }
    }

    /// It was not refused.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.refusal, None);
        self
    }

    /// It was refused so, which leaves no trace.
    #[track_caller]
    pub fn refused(self, condition: Condition, kind: ErrorType) -> Refusal {
        let refusal = self.refusal.expect("a refusal");
        assert_eq!((refusal.condition, refusal.kind), (condition, kind));
        refusal
    }

    /// It was taken, and nothing came of it.
    #[track_caller]
    pub fn silent(self) {
        assert_eq!(self.refusal, None);
        assert_eq!(self.records, Vec::new());
        assert_eq!(self.outputs, Vec::new());
    }

    /// The events.
    #[track_caller]
    pub fn events(&self) -> Vec<&Event> {
        assert_eq!(self.refusal, None);
        self.records.iter().map(|record| &record.event).collect()
    }

    /// The words for the events, for stories about what happens and in which order.
    #[track_caller]
    pub fn story(&self) -> Vec<&'static str> {
        self.events().into_iter().map(word).collect()
    }

    /// The one event there is.
    #[track_caller]
    pub fn event(&self) -> &Event {
        let events = self.events();
        assert_eq!(events.len(), 1, "{events:?}");
        events[0]
    }

    /// The difference that the one event made.
    #[track_caller]
    pub fn delta(&self) -> &Delta {
        assert_eq!(self.deltas.len(), 1, "{:?}", self.records);
        &self.deltas[0]
    }

    /// The one output there is.
    #[track_caller]
    pub fn output(&self) -> &Output {
        assert_eq!(self.refusal, None);
        assert_eq!(self.outputs.len(), 1, "{:?}", self.outputs);
        &self.outputs[0]
    }

    /// The result of an IQ.
    #[track_caller]
    pub fn answer(&self) -> &Answer {
        assert_eq!(self.refusal, None);
        let mut answers = self.outputs.iter().filter_map(|output| match output {
            Output::Answer(answer) => Some(answer),
            _ => None,
        });
        let answer = answers.next().expect("an answer");
        assert_eq!(answers.next(), None);
        answer
    }

    /// The message that was said, kept or passing.
    #[track_caller]
    pub fn message(&self) -> Arc<Message> {
        assert_eq!(self.refusal, None);
        match (self.records.as_slice(), self.outputs.as_slice()) {
            ([record], []) => match &record.event {
                Event::Message(message) => Arc::clone(message),
                event => panic!("{event:?}"),
            },
            ([], [Output::Passing(message)]) => Arc::clone(message),
            other => panic!("{other:?}"),
        }
    }
}

pub const fn word(event: &Event) -> &'static str {
    match event {
        Event::Created { .. } => "created",
        Event::Unknown => "unknown",
        Event::Unlocked => "unlocked",
        Event::Joined { .. } => "joined",
        Event::Online { .. } => "online",
        Event::Updated { .. } => "updated",
        Event::Left { .. } => "left",
        Event::Renamed { .. } => "renamed",
        Event::Participated { .. } => "participated",
        Event::Departed { .. } => "departed",
        Event::Changed { .. } => "changed",
        Event::Removed { .. } => "removed",
        Event::Message(_) => "message",
        Event::Private(_) => "private",
        Event::Configured { .. } => "configured",
        Event::Announced => "announced",
        Event::Destroyed { .. } => "destroyed",
    }
}
