//! Discovery (XEP-0030): what the service, a room or channel says of itself.

use crate::ns;
use crate::stanza::Builder;
use bytes::Bytes;
use smol_str::SmolStr;
use std::collections::BTreeSet;

/// What a disco#info result holds. Both views add to one of these; each feature stands in it once (MAP-80).
#[derive(Debug, Default)]
pub(crate) struct Disco {
    identities: Vec<Identity>,
    features: BTreeSet<&'static str>,
    forms: Vec<Bytes>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Identity {
    category: &'static str,
    kind: &'static str,
    name: SmolStr,
}

impl Disco {
    /// Adds an identity, unless one of that category and type is there.
    pub(crate) fn identity(&mut self, category: &'static str, kind: &'static str, name: &str) {
        let is_same = |i: &Identity| i.category == category && i.kind == kind;
        if self.identities.iter().any(is_same) {
            return;
        }
        self.identities.push(Identity {
            category,
            kind,
            name: name.into(),
        });
    }

    /// Adds a feature.
    pub(crate) fn feature(&mut self, feature: &'static str) {
        self.features.insert(feature);
    }

    /// Adds a data form of type `result`, as an element.
    pub(crate) fn form(&mut self, form: Bytes) {
        self.forms.push(form);
    }

    /// The `<query/>`.
    pub(crate) fn write(&self, node: Option<&str>) -> Bytes {
        let mut xml = Builder::with_capacity(2048);
        xml.open_ns("query", ns::DISCO_INFO).attr_opt("node", node);
        for identity in &self.identities {
            xml.open("identity")
                .attr("category", identity.category)
                .attr("type", identity.kind)
                .attr_opt(
                    "name",
                    Some(identity.name.as_str()).filter(|n| !n.is_empty()),
                )
                .close();
        }
        for feature in &self.features {
            xml.open("feature").attr("var", feature).close();
        }
        for form in &self.forms {
            xml.raw(form);
        }
        xml.close();
        xml.finish()
    }
}
