//! What serves both views: the service itself, the bare channel's address, discovery, archives, answers.

pub(crate) mod channel;
pub(crate) mod disco;
pub(crate) mod service;

use crate::domains::Domains;
use crate::render::Sink;
use coven_core::{Answer, Origin};

/// See [`crate::render::answer`].
pub(crate) fn answer(
    _domains: &Domains,
    _origin: &Origin,
    _answer: &Answer,
    _sink: &mut impl Sink,
) {
}
