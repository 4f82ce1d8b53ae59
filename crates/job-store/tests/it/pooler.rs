//! A connection pooler in transaction mode, at its most unkind: each client has two server
//! sessions, and every transaction runs in the other one than the last.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
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
    /// Stands in front of the server that the address names.
    pub(crate) async fn start(server: &str) -> Self {
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
                clients.spawn(serve(client, target.clone()));
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
    let mut sessions = Vec::new();
    for number in 0..2 {
        let server = TcpStream::connect((target.0.as_str(), target.1)).await?;
        server.set_nodelay(true)?;
        let (from, to) = server.into_split();
        let mut session = Session { from, to };
        session.to.write_all(&start).await?;
        loop {
            let message = message(&mut session.from).await?;
            // The client is greeted once, by the first of them.
            if number == 0 {
                to_client.write_all(&message).await?;
            }
            if message[0] == b'Z' {
                break;
            }
        }
        sessions.push(session);
    }
    let mut current = 0;
    loop {
        current = 1 - current;
        transaction(&mut from_client, &mut to_client, &mut sessions[current]).await?;
    }
}

/// Carries messages to and fro until the session stands outside of a transaction again.
async fn transaction(
    from_client: &mut OwnedReadHalf,
    to_client: &mut OwnedWriteHalf,
    session: &mut Session,
) -> std::io::Result<()> {
    loop {
        // A batch of the client's ends with Sync or is a simple Query.
        loop {
            let message = message(from_client).await?;
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
