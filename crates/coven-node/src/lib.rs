//! Channel actors, commit pipeline, output gate.
