//! Upstream streams, routing, rosters, fan-out.
