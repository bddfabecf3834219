//! Pure rules: channel state, commands, decide, events, apply, queries.
