//! Wrappers around the ports, for tests.

/// Wrappers of the ports, to observe or disturb calls and commits.
pub struct WrapPorts {
    /// Wraps the ports of intake.
    pub intake: Box<dyn FnOnce(intake::Ports) -> intake::Ports + Send>,
    /// Wraps the ports of alerting.
    pub monitoring: Box<dyn FnOnce(monitoring::Ports) -> monitoring::Ports + Send>,
}

impl Default for WrapPorts {
    fn default() -> Self {
        Self {
            intake: Box::new(|ports| ports),
            monitoring: Box::new(|ports| ports),
        }
    }
}
