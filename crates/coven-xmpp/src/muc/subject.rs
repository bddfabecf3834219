//! The subject on joining (XEP-0045 §7.2.15; MUC-SUBJ-05..07). A change of it is a message like any other.

use super::Muc;
use super::message::{Kept, template};
use crate::render::{Recipient, Sink};
use crate::stanza::{Builder, Head, Kind, Template};
use coven_core::{Roster, Session};

impl Muc {
    /// The one message with `<subject/>` and no body that ends a join.
    pub(super) fn subject(&self, roster: &Roster, to: &Session, sink: &mut impl Sink) {
        let template = match roster.subject() {
            Some(subject) => {
                let payload = subject.message.subject.as_deref().unwrap_or_default();
                let kept = Kept {
                    stamp: subject.stamp,
                    payload: Some(payload),
                };
                template(&self.room, &subject.message, Some(kept))
            }
            None => self.no_subject(),
        };
        sink.send(&template, Recipient::session(to));
    }

    fn no_subject(&self) -> Template {
        let mut xml = Builder::with_capacity(16);
        xml.open("subject").close();
        let head = Head::new(Kind::Message, &self.room).with_type("groupchat");
        Template::new(&head, &xml.finish())
    }
}
