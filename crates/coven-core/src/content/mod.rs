//! What is said: messages, subject, private messages, relayed IQs, and what of it is kept.

pub mod archive;
pub mod history;
pub mod message;
pub mod private;
pub mod relay;
pub mod subject;
