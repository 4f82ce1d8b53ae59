//! Listener settings.

use std::net::SocketAddr;
use std::ops::RangeInclusive;

use clap::Args;
use settings::Problems;

use super::ConnectionLimits;

/// Listener settings.
#[derive(Args, Clone, Debug, Default)]
pub struct ListenerArgs {
    /// Address to listen on
    #[arg(long, env = "HTTP_ADDR")]
    pub http_addr: Option<String>,
    /// Address for probes and metrics instead of HTTP_ADDR [default: none]
    #[arg(long, env = "PROBE_ADDR")]
    pub probe_addr: Option<String>,
    /// Open connections overall; the longest waiting one makes room [default: 4096]
    #[arg(long, env = "HTTP_MAX_CONNECTIONS")]
    pub http_max_connections: Option<String>,
    /// Open connections per peer address (IPv6: per /64) [default: 1024]
    #[arg(long, env = "HTTP_MAX_CONNECTIONS_PER_PEER")]
    pub http_max_connections_per_peer: Option<String>,
}

/// Checked listener settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenerConfig {
    /// Where the program listens.
    pub http: SocketAddr,
    /// Where probes and metrics are served; `None`: with the program's own routes.
    pub probes: Option<SocketAddr>,
    /// How many connections may be open on each listener.
    pub limits: ConnectionLimits,
}

impl ListenerArgs {
    /// The settings; `None` with recorded problems.
    #[must_use]
    pub fn check(&self, default: &str, problems: &mut Problems) -> Option<ListenerConfig> {
        let fix = "Use an address such as 127.0.0.1:9101";
        let http = problems.parse(
            "HTTP_ADDR",
            self.http_addr.as_deref(),
            default,
            fix,
            |text| text.parse::<SocketAddr>().ok(),
        );
        let given = self.probe_addr.as_deref().map(str::trim);
        let probes = match given.filter(|text| !text.is_empty()) {
            None => Some(None),
            Some(text) => problems
                .parse("PROBE_ADDR", Some(text), "", fix, |text| {
                    text.parse::<SocketAddr>().ok()
                })
                .map(Some),
        };
        if let (Some(http), Some(Some(probes))) = (http, probes)
            && http == probes
            && http.port() != 0
        {
            let what = format!("`{probes}` is the address of HTTP_ADDR, too");
            problems.add("PROBE_ADDR", what, "Use another port, or leave it out");
        }
        let overall = count(
            "HTTP_MAX_CONNECTIONS",
            self.http_max_connections.as_deref(),
            "4096",
            16..=1_000_000,
            problems,
        );
        let per_peer = count(
            "HTTP_MAX_CONNECTIONS_PER_PEER",
            self.http_max_connections_per_peer.as_deref(),
            "1024",
            8..=1_000_000,
            problems,
        );
        Some(ListenerConfig {
            http: http?,
            probes: probes?,
            limits: ConnectionLimits {
                overall: overall?,
                per_peer: per_peer?,
            },
        })
    }
}

fn count(
    name: &'static str,
    value: Option<&str>,
    default: &str,
    range: RangeInclusive<usize>,
    problems: &mut Problems,
) -> Option<usize> {
    let fix = format!("Use a number from {} to {}", range.start(), range.end());
    problems.parse(name, value, default, &fix, |text| {
        text.parse().ok().filter(|count| range.contains(count))
    })
}
