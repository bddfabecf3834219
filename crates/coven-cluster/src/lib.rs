//! Shards, views and the link between front-ends and nodes.
