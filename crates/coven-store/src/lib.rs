//! The store trait, and its memory and SQLite implementations.
