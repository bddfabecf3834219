//! Journal records and gRPC types, and their conversions.
