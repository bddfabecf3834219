//! What serves both views: the service itself, the bare channel's address, discovery, archives, answers.

mod answer;
pub(crate) mod bounce;
pub(crate) mod channel;
pub(crate) mod datetime;
pub(crate) mod disco;
pub(crate) mod form;
pub(crate) mod items;
pub(crate) mod mam;
pub(crate) mod page;
pub(crate) mod post;
pub(crate) mod presence;
pub(crate) mod rsm;
pub(crate) mod service;

pub(crate) use answer::{answer, result};
