//! Streaming scores over plain slices, each with its unit and direction.
