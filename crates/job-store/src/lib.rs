//! Jobs, facts and the stream cursor, durably.
