//! A real PostgreSQL for tests, never silently skipped.
//!
//! In this order: the server at `TEST_POSTGRES_URL`; a temporary cluster from installed binaries;
//! the same after installing them with the system's package manager, if permitted; else a panic
//! that says what to install.
//!
//! One cluster serves every test process of the machine's user. It stops a few seconds after the
//! last of them has ended, however it ended, and its files are removed. Each test gets a new
//! database. `TEST_POSTGRES_FSYNC=off` makes commits fast and unsafe.
#![expect(clippy::expect_used, reason = "a test needs its database")]

mod cluster;
mod programs;
mod watchdog;

use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection};
use tokio::sync::OnceCell;
use url::Url;

/// A new, empty database. Dropping it drops the database and its connections.
#[derive(Debug)]
pub struct Database {
    server: Url,
    name: String,
}

impl Database {
    /// Creates a database.
    ///
    /// # Panics
    /// PostgreSQL is not available; the message says what to install.
    pub async fn create() -> Self {
        let server = server().await;
        let name = format!("orderbridge_test_{}", uuid::Uuid::new_v4().simple());
        let mut connection = connect(&server).await;
        command(&mut connection, format!("CREATE DATABASE {name}")).await;
        Self { server, name }
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> String {
        let mut url = self.server.clone();
        url.set_path(&self.name);
        url.into()
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let (server, drop) = (
            self.server.clone(),
            format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name),
        );
        // The test's runtime may be shutting down. A database left behind is removed with the
        // cluster.
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime can be built");
            runtime.block_on(async {
                command(&mut connect(&server).await, drop).await;
            });
        });
        let _ = dropping.join();
    }
}

/// The URL of the server's maintenance database.
async fn server() -> Url {
    static SERVER: OnceCell<Url> = OnceCell::const_new();
    let found = SERVER.get_or_init(|| async {
        if let Some(url) = std::env::var("TEST_POSTGRES_URL")
            .ok()
            .filter(|url| !url.trim().is_empty())
        {
            return url
                .trim()
                .parse()
                .expect("TEST_POSTGRES_URL is not a valid URL");
        }
        tokio::task::spawn_blocking(cluster::shared)
            .await
            .expect("no PostgreSQL for the tests, see above")
    });
    found.await.clone()
}

async fn connect(server: &Url) -> PgConnection {
    let options =
        sqlx::postgres::PgConnectOptions::from_url(server).expect("the server's address is a URL");
    options
        .disable_statement_logging()
        .connect()
        .await
        .expect("the test server accepts connections")
}

async fn command(connection: &mut PgConnection, text: String) {
    sqlx::raw_sql(AssertSqlSafe(text))
        .execute(&mut *connection)
        .await
        .expect("the test server makes and drops databases");
    connection.ping().await.expect("the test server stays up");
}
