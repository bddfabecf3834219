//! The domains that coven serves, and the addresses of a channel in both views.
//!
//! Owns the step from a domain to its space and back (MAP-81): state never holds an address of ours, so whoever renders
//! asks here. It does not own what a domain's policies mean ([`coven_core::Service`]).

use coven_core::{ChannelName, Service, View};
use smol_str::{SmolStr, format_smolstr};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A domain that coven serves, as configured.
#[derive(Debug, Clone)]
pub struct Domain {
    /// The domain, normalised.
    pub name: SmolStr,
    /// The space that its channels live in.
    pub space: SmolStr,
    /// MUC is spoken here.
    pub muc: bool,
    /// MIX is spoken here.
    pub mix: bool,
    /// The domain that serves the other view of the same space (XEP-0408, partially integrated).
    pub mirror: Option<SmolStr>,
    /// Human name.
    pub title: String,
    /// Contact addresses, all URIs, by the field of the form that holds them, such as `abuse-addresses` (XEP-0157 §3,
    /// MUC-DISCO-30). Only fields with addresses.
    pub contacts: Vec<(&'static str, Vec<String>)>,
    /// Policies of the space.
    pub service: Arc<Service>,
}

impl Domain {
    /// Whether this view is spoken here.
    #[must_use]
    pub const fn speaks(&self, view: View) -> bool {
        match view {
            View::Muc => self.muc,
            View::Mix => self.mix,
        }
    }

    /// The view of what could be either: MUC where it is spoken.
    #[must_use]
    pub const fn usual_view(&self) -> View {
        if self.muc { View::Muc } else { View::Mix }
    }
}

/// All domains, by name and by space.
#[derive(Debug, Clone, Default)]
pub struct Domains {
    by_name: BTreeMap<SmolStr, Arc<Domain>>,
}

impl Domains {
    /// A set of domains. Of two with one name the last counts.
    #[must_use]
    pub fn new(domains: impl IntoIterator<Item = Domain>) -> Self {
        let named = |domain: Domain| (domain.name.clone(), Arc::new(domain));
        Self {
            by_name: domains.into_iter().map(named).collect(),
        }
    }

    /// The domain of that normalised name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<Domain>> {
        self.by_name.get(name)
    }

    /// All domains in order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Domain>> {
        self.by_name.values()
    }

    /// The domain of a space where this view is spoken.
    #[must_use]
    pub fn serving(&self, space: &str, view: View) -> Option<&Arc<Domain>> {
        self.iter().find(|d| d.space == space && d.speaks(view))
    }

    /// The addresses of a channel.
    #[must_use]
    pub fn names(&self, channel: &ChannelName) -> Names {
        let domain = |view| {
            self.serving(&channel.space, view)
                .map(|domain| domain.name.clone())
        };
        Names {
            local: channel.local.clone(),
            muc_domain: domain(View::Muc),
            mix_domain: domain(View::Mix),
        }
    }
}

/// A channel's addresses in both views (MAP-81): every address of ours is rendered with the domain of the recipient's
/// view.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Names {
    /// Localpart.
    pub local: SmolStr,
    /// Domain of the MUC view, if it is served.
    pub muc_domain: Option<SmolStr>,
    /// Domain of the MIX view, if it is served; the same one where both share it.
    pub mix_domain: Option<SmolStr>,
}

impl Names {
    /// The domain in a view.
    #[must_use]
    pub const fn domain(&self, view: View) -> Option<&SmolStr> {
        match view {
            View::Muc => self.muc_domain.as_ref(),
            View::Mix => self.mix_domain.as_ref(),
        }
    }

    /// The channel's bare address in a view.
    #[must_use]
    pub fn bare(&self, view: View) -> Option<SmolStr> {
        self.domain(view)
            .map(|domain| format_smolstr!("{}@{domain}", self.local))
    }

    /// Whether this is the bare address of the channel in either view.
    #[must_use]
    pub fn is(&self, bare: &str) -> bool {
        bare.split_once('@')
            .is_some_and(|(local, domain)| local == self.local && self.has_domain(domain))
    }

    /// An address as a view knows it: one in a domain of this space gets that view's domain (MAP-81).
    #[must_use]
    pub fn in_view(&self, jid: &str, view: View) -> SmolStr {
        match (jid.split_once('@'), self.domain(view)) {
            (Some((local, domain)), Some(ours)) if self.has_domain(domain) => {
                format_smolstr!("{local}@{ours}")
            }
            _ => jid.into(),
        }
    }

    /// Whether this is the domain of either view.
    #[must_use]
    pub fn has_domain(&self, domain: &str) -> bool {
        [&self.muc_domain, &self.mix_domain]
            .into_iter()
            .flatten()
            .any(|ours| ours == domain)
    }
}
