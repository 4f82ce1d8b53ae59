//! A connection pooler in transaction mode, at its most unkind: each client has two server
//! sessions, and every transaction runs in the other one than the last. Or all clients have
//! the same two, and a transaction runs in the one that was used last, as PgBouncer does it.

use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, OnceCell};
use tokio::task::JoinHandle;
use url::Url;

/// The pooler at work; it ends with this value.
pub(crate) struct Pooler {
    task: JoinHandle<()>,
    url: String,
}

impl Drop for Pooler {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Pooler {
    /// Stands in front of the server that the address names; each client has sessions of its
    /// own.
    pub(crate) async fn start(server: &str) -> Self {
        Self::begin(server, None).await
    }

    /// The same with sessions that all clients share.
    pub(crate) async fn sharing(server: &str) -> Self {
        Self::begin(server, Some(Arc::default())).await
    }

    async fn begin(server: &str, shared: Option<Arc<Shared>>) -> Self {
        let mut url: Url = server.parse().unwrap();
        let target = (url.host_str().unwrap().to_owned(), url.port().unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        url.set_host(Some("127.0.0.1")).unwrap();
        url.set_port(Some(port)).unwrap();
        url.set_query(Some("sslmode=disable"));
        let task = tokio::spawn(async move {
            let mut clients = tokio::task::JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                match shared.clone() {
                    Some(shared) => clients.spawn(share(client, target.clone(), shared)),
                    None => clients.spawn(serve(client, target.clone())),
                };
            }
        });
        Self {
            task,
            url: url.into(),
        }
    }

    /// Its address.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }
}

struct Session {
    from: OwnedReadHalf,
    to: OwnedWriteHalf,
}

/// Ends when any of the connections does.
async fn serve(client: TcpStream, target: (String, u16)) -> std::io::Result<()> {
    client.set_nodelay(true)?;
    let (mut from_client, mut to_client) = client.into_split();
    let start = startup(&mut from_client).await?;
    let (first, greeting) = Session::open(&target, &start).await?;
    let mut sessions = [first, Session::open(&target, &start).await?.0];
    // The client is greeted once, by the first of them.
    to_client.write_all(&greeting).await?;
    let mut current = 0;
    loop {
        current = 1 - current;
        let first = message(&mut from_client).await?;
        let session = &mut sessions[current];
        transaction(first, &mut from_client, &mut to_client, session).await?;
    }
}

/// Sessions that all clients share, the one used last on top.
#[derive(Default)]
struct Shared {
    idle: Mutex<Vec<Session>>,
    greeting: OnceCell<Vec<u8>>,
}

async fn share(
    client: TcpStream,
    target: (String, u16),
    shared: Arc<Shared>,
) -> std::io::Result<()> {
    client.set_nodelay(true)?;
    let (mut from_client, mut to_client) = client.into_split();
    let start = startup(&mut from_client).await?;
    let greeting = shared.greeting.get_or_try_init(async || {
        let (session, greeting) = Session::open(&target, &start).await?;
        shared.idle.lock().await.push(session);
        Ok::<_, std::io::Error>(greeting)
    });
    to_client.write_all(greeting.await?).await?;
    loop {
        let first = message(&mut from_client).await?;
        if first[0] == b'X' {
            return Ok(());
        }
        let idle = shared.idle.lock().await.pop();
        let mut session = match idle {
            Some(session) => session,
            None => Session::open(&target, &start).await?.0,
        };
        transaction(first, &mut from_client, &mut to_client, &mut session).await?;
        shared.idle.lock().await.push(session);
    }
}

impl Session {
    /// A session, and what it greets its client with.
    async fn open(target: &(String, u16), start: &[u8]) -> std::io::Result<(Self, Vec<u8>)> {
        let server = TcpStream::connect((target.0.as_str(), target.1)).await?;
        server.set_nodelay(true)?;
        let (from, to) = server.into_split();
        let mut session = Self { from, to };
        session.to.write_all(start).await?;
        let mut greeting = Vec::new();
        loop {
            let message = message(&mut session.from).await?;
            greeting.extend_from_slice(&message);
            if message[0] == b'Z' {
                return Ok((session, greeting));
            }
        }
    }
}

/// Carries messages to and fro until the session stands outside of a transaction again.
async fn transaction(
    first: Vec<u8>,
    from_client: &mut OwnedReadHalf,
    to_client: &mut OwnedWriteHalf,
    session: &mut Session,
) -> std::io::Result<()> {
    let mut first = Some(first);
    loop {
        // A batch of the client's ends with Sync or is a simple Query.
        loop {
            let message = match first.take() {
                Some(first) => first,
                None => message(from_client).await?,
            };
            session.to.write_all(&message).await?;
            if matches!(message[0], b'S' | b'Q' | b'X') {
                break;
            }
        }
        loop {
            let message = message(&mut session.from).await?;
            to_client.write_all(&message).await?;
            if message[0] == b'Z' {
                if message[5] == b'I' {
                    return Ok(());
                }
                break;
            }
        }
    }
}

async fn startup(from: &mut OwnedReadHalf) -> std::io::Result<Vec<u8>> {
    let length = from.read_u32().await?;
    let mut whole = length.to_be_bytes().to_vec();
    whole.resize(length as usize, 0);
    from.read_exact(&mut whole[4..]).await?;
    Ok(whole)
}

async fn message(from: &mut OwnedReadHalf) -> std::io::Result<Vec<u8>> {
    let kind = from.read_u8().await?;
    let length = from.read_u32().await?;
    let mut whole = vec![kind];
    whole.extend(length.to_be_bytes());
    whole.resize(length as usize + 1, 0);
    from.read_exact(&mut whole[5..]).await?;
    Ok(whole)
}
