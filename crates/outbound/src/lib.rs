//! The one way this house opens a connection to the outside: roots, time limits, capped bodies.
