//! Which connections are open, and which one makes room for a new one.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use clap::Args;
use settings::number;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How many connections may be open.
#[derive(Args, Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Open connections overall, fewer when the process may open fewer files; at the limit the
    /// longest waiting one makes room
    #[arg(
        long = "http-max-connections",
        env = "HTTP_MAX_CONNECTIONS",
        default_value_t = Self::default().overall,
        value_parser = number(16_usize..=1_000_000)
    )]
    pub overall: usize,
    /// Open connections per peer address (IPv6: per /64). Behind a reverse proxy all clients share
    /// one
    #[arg(
        long = "http-max-connections-per-peer",
        env = "HTTP_MAX_CONNECTIONS_PER_PEER",
        default_value_t = Self::default().per_peer,
        value_parser = number(8_usize..=1_000_000)
    )]
    pub per_peer: usize,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            overall: 4096,
            per_peer: 1024,
        }
    }
}

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Idle, or receiving the head of a request.
    Head,
    /// Receiving the body of a request.
    Body,
    /// The request is complete; we owe the answer.
    Answer,
}

/// A phase of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Turn {
    pub(super) phase: Phase,
    since: Instant,
    /// Counts the phases, to tell one head from the next.
    pub(super) number: u64,
}

/// What a connection is doing, and whether it must close.
#[derive(Debug)]
pub(super) struct Activity {
    turn: Mutex<Turn>,
    evicted: CancellationToken,
}

impl Activity {
    fn new() -> Self {
        Self {
            turn: Mutex::new(Turn {
                phase: Phase::Head,
                since: Instant::now(),
                number: 0,
            }),
            evicted: CancellationToken::new(),
        }
    }

    /// The current phase.
    pub(super) fn turn(&self) -> Turn {
        *lock(&self.turn)
    }

    /// Enters a phase.
    pub(super) fn enter(&self, phase: Phase) {
        let mut turn = lock(&self.turn);
        *turn = Turn {
            phase,
            since: Instant::now(),
            number: turn.number + 1,
        };
    }

    /// Since when the client owes us bytes; `None` while we owe it an answer.
    fn waiting_since(&self) -> Option<Instant> {
        let turn = self.turn();
        (turn.phase != Phase::Answer).then_some(turn.since)
    }

    /// Returns when the connection has to make room.
    pub(super) async fn evicted(&self) {
        self.evicted.cancelled().await;
    }
}

/// Why a new connection is refused: all open ones are waiting for our answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    Overall,
    Peer,
}

impl Full {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Overall => "overall",
            Self::Peer => "peer",
        }
    }
}

/// The open connections of a listener.
///
/// At a limit, the connection whose client has owed us bytes the longest makes room: idle and
/// slow connections lock nobody out.
#[derive(Clone, Debug)]
pub(super) struct Connections {
    limits: ConnectionLimits,
    open: Arc<Mutex<Open>>,
}

#[derive(Debug, Default)]
struct Open {
    next: u64,
    connections: HashMap<u64, (IpAddr, Arc<Activity>)>,
    per_peer: HashMap<IpAddr, usize>,
}

impl Connections {
    pub(super) fn new(limits: ConnectionLimits) -> Self {
        Self {
            limits,
            open: Arc::default(),
        }
    }

    /// Registers a connection until the guard is dropped, evicting another one if needed.
    pub(super) fn open(&self, address: IpAddr) -> Result<ConnectionGuard, Full> {
        let peer = peer_of(address);
        let mut open = lock(&self.open);
        if open.per_peer.get(&peer).copied().unwrap_or(0) >= self.limits.per_peer {
            open.evict(|other| *other == peer).ok_or(Full::Peer)?;
        } else if open.connections.len() >= self.limits.overall {
            open.evict(|_| true).ok_or(Full::Overall)?;
        }
        let id = open.next;
        open.next += 1;
        let activity = Arc::new(Activity::new());
        open.add(id, peer, Arc::clone(&activity));
        metrics::gauge!("orderbridge_http_connections").increment(1.0);
        Ok(ConnectionGuard {
            id,
            activity,
            open: Arc::clone(&self.open),
        })
    }
}

impl Open {
    fn add(&mut self, id: u64, peer: IpAddr, activity: Arc<Activity>) {
        self.connections.insert(id, (peer, activity));
        *self.per_peer.entry(peer).or_default() += 1;
    }

    fn remove(&mut self, id: u64) -> Option<Arc<Activity>> {
        let (peer, activity) = self.connections.remove(&id)?;
        if let Some(count) = self.per_peer.get_mut(&peer) {
            *count -= 1;
            if *count == 0 {
                self.per_peer.remove(&peer);
            }
        }
        Some(activity)
    }

    /// Closes the connection that has been waiting for its client the longest, among those of
    /// these peers; `None` when there is none.
    fn evict(&mut self, of: impl Fn(&IpAddr) -> bool) -> Option<()> {
        let waiting = self
            .connections
            .iter()
            .filter_map(|(id, (peer, activity))| {
                let since = activity.waiting_since().filter(|_| of(peer))?;
                Some((since, *id))
            });
        let (_, id) = waiting.min()?;
        self.remove(id)?.evicted.cancel();
        Some(())
    }
}

/// An open connection; it is forgotten when this is dropped.
#[derive(Debug)]
pub(super) struct ConnectionGuard {
    id: u64,
    pub(super) activity: Arc<Activity>,
    open: Arc<Mutex<Open>>,
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        lock(&self.open).remove(self.id);
        metrics::gauge!("orderbridge_http_connections").decrement(1.0);
    }
}

/// What counts as one peer: an IPv4 address, or an IPv6 network of 64 bits, which one customer of
/// a provider usually has alone.
fn peer_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        address => address,
    }
}

/// The state behind a lock is consistent between statements: a panic elsewhere does not spoil it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connections(overall: usize, per_peer: usize) -> Connections {
        Connections::new(ConnectionLimits { overall, per_peer })
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[tokio::test]
    async fn longest_waiting_connection_of_the_peer_makes_room() {
        let all = connections(10, 2);
        let other = all.open(address("10.0.0.9")).unwrap();
        let busy = all.open(address("10.0.0.1")).unwrap();
        busy.activity.enter(Phase::Answer);
        let idle = all.open(address("10.0.0.1")).unwrap();
        let new = all.open(address("::ffff:10.0.0.1")).unwrap();
        idle.activity.evicted().await;
        for kept in [&other, &busy, &new] {
            assert!(!kept.activity.evicted.is_cancelled());
        }
        new.activity.enter(Phase::Answer);
        assert_eq!(all.open(address("10.0.0.1")).unwrap_err(), Full::Peer);
        drop(busy);
        assert!(all.open(address("10.0.0.1")).is_ok());
    }

    #[tokio::test]
    async fn overall_limit_evicts_from_any_peer() {
        let all = connections(2, 2);
        let first = all.open(address("10.0.0.1")).unwrap();
        let second = all.open(address("10.0.0.2")).unwrap();
        second.activity.enter(Phase::Answer);
        let third = all.open(address("10.0.0.3")).unwrap();
        first.activity.evicted().await;
        third.activity.enter(Phase::Answer);
        assert_eq!(all.open(address("10.0.0.4")).unwrap_err(), Full::Overall);
    }

    #[test]
    fn ipv6_peers_are_counted_by_network() {
        let of = |text| peer_of(address(text));
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::9"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("::ffff:10.0.0.1"), of("10.0.0.1"));
    }
}
