//! Which connections are open, and which one makes room for a new one.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use clap::Args;
use settings::number;
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
    /// Counts the phases of all connections in the order in which they began.
    pub(super) number: u64,
}

impl Turn {
    /// Whether the client owes us bytes; else we owe it an answer.
    fn is_waiting(self) -> bool {
        self.phase != Phase::Answer
    }
}

/// What a connection is doing, and whether it must close.
#[derive(Debug)]
pub(super) struct Activity {
    id: u64,
    peer: IpAddr,
    turn: Mutex<Turn>,
    is_writing: AtomicBool,
    evicted: CancellationToken,
    open: Arc<Mutex<Open>>,
}

impl Activity {
    /// The current phase.
    pub(super) fn turn(&self) -> Turn {
        *lock(&self.turn)
    }

    /// Enters a phase.
    pub(super) fn enter(&self, phase: Phase) {
        let mut turn = lock(&self.turn);
        let mut open = lock(&self.open);
        open.ended(*turn, self.peer);
        *turn = open.begun(phase, self.id, self.peer);
    }

    /// Whether bytes wait for the client to accept them.
    pub(super) fn is_writing(&self) -> bool {
        self.is_writing.load(Ordering::Relaxed)
    }

    pub(super) fn set_writing(&self, is_writing: bool) {
        self.is_writing.store(is_writing, Ordering::Relaxed);
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
    next_connection: u64,
    next_turn: u64,
    connections: HashMap<u64, CancellationToken>,
    per_peer: HashMap<IpAddr, usize>,
    /// The connections whose clients owe us bytes, the longest waiting first. Under an attack each
    /// new connection evicts one: none is searched for.
    waiting: BTreeMap<u64, (u64, IpAddr)>,
    waiting_of_peer: BTreeSet<(IpAddr, u64)>,
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
            let longest = open.longest_waiting_of(peer).ok_or(Full::Peer)?;
            open.evict(longest);
        } else if open.connections.len() >= self.limits.overall {
            let longest = open.waiting.keys().next().copied().ok_or(Full::Overall)?;
            open.evict(longest);
        }
        let id = open.next_connection;
        open.next_connection += 1;
        let evicted = CancellationToken::new();
        open.connections.insert(id, evicted.clone());
        *open.per_peer.entry(peer).or_default() += 1;
        let turn = open.begun(Phase::Head, id, peer);
        metrics::gauge!("orderbridge_http_connections").increment(1.0);
        Ok(ConnectionGuard {
            activity: Arc::new(Activity {
                id,
                peer,
                turn: Mutex::new(turn),
                is_writing: AtomicBool::new(false),
                evicted,
                open: Arc::clone(&self.open),
            }),
        })
    }
}

impl Open {
    /// The next phase of a connection. An evicted one is not open any more.
    fn begun(&mut self, phase: Phase, id: u64, peer: IpAddr) -> Turn {
        let turn = Turn {
            phase,
            number: self.next_turn,
        };
        self.next_turn += 1;
        if turn.is_waiting() && self.connections.contains_key(&id) {
            self.waiting.insert(turn.number, (id, peer));
            self.waiting_of_peer.insert((peer, turn.number));
        }
        turn
    }

    fn ended(&mut self, turn: Turn, peer: IpAddr) {
        if turn.is_waiting() {
            self.waiting.remove(&turn.number);
            self.waiting_of_peer.remove(&(peer, turn.number));
        }
    }

    fn longest_waiting_of(&self, peer: IpAddr) -> Option<u64> {
        let mut waiting = self.waiting_of_peer.range((peer, 0)..=(peer, u64::MAX));
        waiting.next().map(|(_, number)| *number)
    }

    /// Closes the connection that has been in this phase.
    fn evict(&mut self, turn: u64) {
        if let Some((id, peer)) = self.waiting.remove(&turn) {
            self.waiting_of_peer.remove(&(peer, turn));
            if let Some(evicted) = self.remove(id, peer) {
                evicted.cancel();
            }
        }
    }

    fn remove(&mut self, id: u64, peer: IpAddr) -> Option<CancellationToken> {
        let evicted = self.connections.remove(&id)?;
        if let Some(count) = self.per_peer.get_mut(&peer) {
            *count -= 1;
            if *count == 0 {
                self.per_peer.remove(&peer);
            }
        }
        Some(evicted)
    }
}

/// An open connection; it is forgotten when this is dropped.
#[derive(Debug)]
pub(super) struct ConnectionGuard {
    pub(super) activity: Arc<Activity>,
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        let Activity { id, peer, .. } = *self.activity;
        let turn = self.activity.turn();
        let mut open = lock(&self.activity.open);
        open.ended(turn, peer);
        open.remove(id, peer);
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
