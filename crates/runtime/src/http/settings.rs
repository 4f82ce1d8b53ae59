//! Listener settings.

use std::net::SocketAddr;

use clap::{Arg, Args};
use settings::{Invalid, Problems};

use super::ConnectionLimits;

/// Listener settings.
#[derive(Args, Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenerConfig {
    /// Address to listen on
    #[arg(
        id = HTTP_ADDR,
        long = "http-addr",
        env = "HTTP_ADDR",
        value_name = "ADDRESS",
        value_parser = address
    )]
    pub http: SocketAddr,
    /// Address for probes and metrics instead of HTTP_ADDR [default: none]
    #[arg(long = "probe-addr", env = "PROBE_ADDR", value_parser = address)]
    pub probes: Option<SocketAddr>,
    /// How many connections may be open on each listener.
    #[command(flatten)]
    pub limits: ConnectionLimits,
}

/// The argument that each program gives its own default by [`default_address`].
pub const HTTP_ADDR: &str = "http_addr";

/// Gives [`HTTP_ADDR`] a default.
pub fn default_address(address: &'static str) -> impl FnOnce(Arg) -> Arg {
    move |arg| arg.required(false).default_value(address)
}

impl ListenerConfig {
    /// Checks that the addresses differ.
    pub fn check(&self, problems: &mut Problems) {
        if let Some(probes) = self.probes
            && probes == self.http
            && probes.port() != 0
        {
            let what = format!("`{probes}` is the address of HTTP_ADDR, too");
            problems.add("PROBE_ADDR", what, "Use another port, or leave it out");
        }
    }
}

fn address(text: &str) -> Result<SocketAddr, Invalid> {
    let address = text.trim().parse();
    address.map_err(|_| Invalid::new("Use an address such as 127.0.0.1:9101"))
}
