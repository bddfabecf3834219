//! XEP-0114 streams, stanzas to commands, events to stanzas; sans-io.
