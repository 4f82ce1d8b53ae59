//! The attacks.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::Rng;
use reqwest::{Client, RequestBuilder};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;

use crate::target::{OPS_TOKEN, Target};

/// Open connections per address of the attacker: together more than the listener permits.
const IDLE: usize = 600;
const SLOW: usize = 300;

/// One attack.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attack {
    /// Reads of ids that do not exist.
    UnknownIds,
    /// New orders.
    NewOrders,
    /// Event streams, each kept open.
    Streams,
    /// Connections without a request.
    IdleConnections,
    /// Heads and bodies that arrive byte by byte.
    SlowConnections,
    /// Tokens of unknown keys, while the identity provider hangs.
    UnknownKeys,
    /// Wrong operator tokens.
    OperatorTokens,
}

/// How often the attacker got which answer.
#[derive(Default)]
pub(crate) struct Answers(pub(crate) BTreeMap<String, u64>);

impl Answers {
    fn count(&mut self, answer: impl Into<String>) {
        *self.0.entry(answer.into()).or_default() += 1;
    }

    pub(crate) fn add(&mut self, other: Self) {
        for (answer, count) in other.0 {
            *self.0.entry(answer).or_default() += count;
        }
    }
}

impl Attack {
    pub(crate) const ALL: [Self; 7] = [
        Self::UnknownIds,
        Self::NewOrders,
        Self::Streams,
        Self::IdleConnections,
        Self::SlowConnections,
        Self::UnknownKeys,
        Self::OperatorTokens,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::UnknownIds => "unknown ids",
            Self::NewOrders => "new orders",
            Self::Streams => "event streams",
            Self::IdleConnections => "idle connections",
            Self::SlowConnections => "slow connections",
            Self::UnknownKeys => "unknown keys, identity provider hangs",
            Self::OperatorTokens => "wrong operator tokens",
        }
    }

    /// Attacks over one connection, or from one address where connections are the attack.
    pub(crate) async fn run(
        self,
        target: Arc<Target>,
        connection: u8,
        ends: Instant,
    ) -> anyhow::Result<Answers> {
        match self {
            Self::IdleConnections => Ok(idle(&target, address(connection), ends).await),
            Self::SlowConnections => Ok(slow(&target, address(connection), ends).await),
            _ => self.send_requests(&target, ends).await,
        }
    }

    async fn send_requests(self, target: &Target, ends: Instant) -> anyhow::Result<Answers> {
        let http = Client::builder()
            .local_address(IpAddr::V4(address(0)))
            .timeout(Duration::from_secs(600))
            .pool_max_idle_per_host(1)
            .build()?;
        let mut answers = Answers::default();
        let mut open = Vec::new();
        while Instant::now() < ends {
            match self.request(&http, target).send().await {
                // Reading the body leaves the connection open for the next request.
                Ok(answer) if self != Self::Streams || !answer.status().is_success() => {
                    answers.count(answer.status().as_str());
                    // What it says does not matter.
                    let _ = answer.bytes().await;
                }
                Ok(stream) => {
                    answers.count(stream.status().as_str());
                    open.push(stream);
                }
                Err(error) => answers.count(kind(&error)),
            }
        }
        Ok(answers)
    }

    fn request(self, http: &Client, target: &Target) -> RequestBuilder {
        let url = &target.url;
        let attacker = &target.attacker;
        let number: u64 = rand::rng().random_range(0..1_000_000_000_000);
        match self {
            Self::UnknownIds => http
                .get(format!("{url}/api/orders/801{number:012}"))
                .bearer_auth(&attacker.token),
            Self::NewOrders => http
                .post(format!("{url}/api/orders"))
                .bearer_auth(&attacker.token)
                .header("idempotency-key", format!("key-{number}"))
                .json(&target.new_order),
            Self::UnknownKeys => http
                .get(format!("{url}/api/orders/{}", attacker.order))
                .bearer_auth(with_key_id(&attacker.token, number)),
            Self::OperatorTokens if number.is_multiple_of(2) => http
                .post(format!("{url}/ops/login"))
                .form(&[("name", "mallory"), ("token", &format!("guess {number}"))]),
            Self::OperatorTokens => http
                .get(format!("{url}/ops/api/orders"))
                .bearer_auth(format!("{OPS_TOKEN} {number}")),
            Self::Streams | Self::IdleConnections | Self::SlowConnections => http
                .get(format!("{url}/api/orders/{}/events", attacker.order))
                .bearer_auth(&attacker.token),
        }
    }
}

/// The attacker's addresses; others use 127.0.0.1.
fn address(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 0, 2 + number)
}

/// The token with another key id: nobody gets to verify its signature.
fn with_key_id(token: &str, number: u64) -> String {
    let header = format!(r#"{{"alg":"RS256","kid":"{number}"}}"#);
    let rest = token.split_once('.').map_or("", |(_, rest)| rest);
    format!("{}.{rest}", base64url(header.as_bytes()))
}

fn base64url(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

fn kind(error: &reqwest::Error) -> &'static str {
    if error.is_timeout() {
        "timeout"
    } else if error.is_connect() {
        "no connection"
    } else {
        "closed"
    }
}

async fn connect(target: &Target, from: Ipv4Addr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from((from, 0)))?;
    socket.connect(target.address).await
}

/// Keeps connections open, and opens another one for each that the portal closes.
async fn idle(target: &Target, from: Ipv4Addr, ends: Instant) -> Answers {
    let mut answers = Answers::default();
    let mut open: VecDeque<TcpStream> = VecDeque::new();
    let attack = async {
        loop {
            if open.len() >= IDLE
                && let Some(mut oldest) = open.pop_front()
            {
                // Returns when the portal closes it.
                let _ = oldest.read(&mut [0; 256]).await;
                answers.count("closed");
            }
            match connect(target, from).await {
                Ok(connection) => {
                    answers.count("opened");
                    open.push_back(connection);
                }
                Err(_) => {
                    answers.count("no connection");
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }
        }
    };
    // The attack does not end by itself.
    let _ = tokio::time::timeout_at(ends.into(), attack).await;
    answers
}

/// Sends heads and bodies byte by byte, and begins anew when the portal closes the connection.
async fn slow(target: &Arc<Target>, from: Ipv4Addr, ends: Instant) -> Answers {
    let mut senders = JoinSet::new();
    for number in 0..SLOW {
        let target = Arc::clone(target);
        senders.spawn(async move {
            let mut answers = Answers::default();
            let attack = async {
                loop {
                    match trickle(&target, from, number % 2 == 0).await {
                        Ok(()) => answers.count("closed"),
                        Err(_) => answers.count("no connection"),
                    }
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            };
            let _ = tokio::time::timeout_at(ends.into(), attack).await;
            answers
        });
    }
    let mut answers = Answers::default();
    while let Some(sent) = senders.join_next().await {
        answers.add(sent.unwrap_or_default());
    }
    answers
}

/// One request that never ends; returns when the portal closes the connection.
async fn trickle(target: &Target, from: Ipv4Addr, with_body: bool) -> std::io::Result<()> {
    let mut connection = connect(target, from).await?;
    let token = &target.attacker.token;
    let head = match with_body {
        true => format!(
            "POST /api/orders HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: application/json\r\nIdempotency-Key: k\r\nContent-Length: 60000\r\n\r\n"
        ),
        false => "GET /api/orders HTTP/1.1\r\nHost: x\r\nX-Slow: ".to_owned(),
    };
    connection.write_all(head.as_bytes()).await?;
    let mut answer = [0; 1024];
    loop {
        let pause = Duration::from_millis(500);
        match tokio::time::timeout(pause, connection.read(&mut answer)).await {
            Ok(Ok(0) | Err(_)) => return Ok(()),
            Ok(Ok(_)) => {}
            Err(_) => {
                if connection.write_all(b"1").await.is_err() {
                    return Ok(());
                }
            }
        }
    }
}
