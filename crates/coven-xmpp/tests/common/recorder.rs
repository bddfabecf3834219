//! What renderers write to: each stanza is checked for what must hold of all of them, and kept.

use super::Sent;
use coven_core::Group;
use coven_xmpp::domains::Domains;
use coven_xmpp::render::{Quirks, Recipient, Sink};
use coven_xmpp::stanza::{Outgoing, Template};

/// Writes down what is sent.
pub struct Recorder<'a> {
    pub(super) domains: &'a Domains,
    pub(super) max_stanza: usize,
    pub(super) quirky: Option<String>,
    pub sent: Vec<Sent>,
}

impl Sink for Recorder<'_> {
    fn send(&mut self, template: &Template, to: Recipient<'_>) {
        let bare = to.to.split('/').next().unwrap();
        assert_eq!(to.bare, bare, "the recipient's bare JID");
        let stanza = Outgoing {
            to: to.to.into(),
            template: template.clone(),
        };
        self.write(&stanza);
        self.sent.last_mut().unwrap().view = Some(to.view);
    }

    fn answer(&mut self, stanza: Outgoing, _group: &Group) {
        self.write(&stanza);
    }

    fn quirks(&self, to: &Recipient<'_>) -> Quirks {
        let domain = to.bare.split_once('@').map(|(_, domain)| domain);
        Quirks {
            ejabberd_pam: self.quirky.is_some() && self.quirky.as_deref() == domain,
        }
    }

    fn max_stanza(&self, _group: &Group) -> usize {
        self.max_stanza
    }
}

impl Recorder<'_> {
    pub(super) fn write(&mut self, stanza: &Outgoing) {
        let xml = stanza.to_bytes();
        assert!(xml.len() <= self.max_stanza, "{} bytes", xml.len());
        let domain = stanza.template.from_domain();
        assert!(self.domains.get(domain).is_some(), "from of {domain}");
        let sent = Sent::read(&xml);
        assert_eq!(sent.to(), stanza.to.as_str());
        self.sent.push(sent);
    }
}
