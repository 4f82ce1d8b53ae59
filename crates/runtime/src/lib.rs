//! What every program needs and none should own: telemetry, health listener, shutdown, real clock and dice.
