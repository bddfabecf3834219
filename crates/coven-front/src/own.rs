//! What the front-end says in its own name: it goes on while output of nodes may not be written (design §5.9).

use coven_core::Group;
use coven_xmpp::render::{Recipient, Sink};
use coven_xmpp::stanza::{Outgoing, Template};

use crate::front::Front;

/// Refusals of this front-end, to whoever asked.
#[derive(Debug)]
pub(crate) struct OwnWords<'a>(pub(crate) &'a Front);

impl Sink for OwnWords<'_> {
    /// Nothing here is for many.
    fn send(&mut self, _: &Template, _: Recipient<'_>) {}

    fn answer(&mut self, stanza: Outgoing, group: &Group) {
        self.0.answer(&stanza, group);
    }
}
