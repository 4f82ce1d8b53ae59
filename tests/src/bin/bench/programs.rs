//! The programs and their store.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context;
use simulators::World;
use tempfile::TempDir;
use test_postgres::Database;
use tokio::process::{Child, Command};

/// The stores that are measured.
pub(crate) const STORES: [StoreKind; 2] = [StoreKind::Sqlite, StoreKind::Postgres];

/// A kind of store.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum StoreKind {
    Sqlite,
    Postgres,
}

impl StoreKind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
        }
    }
}

/// A new store, gone with this.
pub(crate) struct Store {
    folder: TempDir,
    database: Option<Database>,
}

impl Store {
    pub(crate) async fn new(kind: StoreKind) -> anyhow::Result<Self> {
        Ok(Self {
            folder: tempfile::tempdir()?,
            database: match kind {
                StoreKind::Sqlite => None,
                StoreKind::Postgres => Some(Database::create().await),
            },
        })
    }

    pub(crate) fn url(&self) -> String {
        match &self.database {
            Some(database) => database.url(),
            None => format!("sqlite:{}", self.folder.path().join("jobs.db").display()),
        }
    }

    /// Starts a program on this store between these systems.
    pub(crate) fn start(
        &self,
        bins: &Path,
        name: &str,
        world: &World,
        settings: &[(&str, &str)],
    ) -> anyhow::Result<Program> {
        let key = self.folder.path().join("key.pem");
        std::fs::write(&key, world.salesforce.login().private_key_pem)?;
        let child = Command::new(bins.join(name))
            .env_clear()
            .envs(world.environment())
            .env("DATABASE_URL", self.url())
            .env("HTTP_ADDR", "127.0.0.1:0")
            .env("SF_PRIVATE_KEY_FILE", key)
            .env("SF_EVENTS_REPLAY", "ALL")
            .env("PORTAL_AUTH", "none")
            .env(
                "RUST_LOG",
                std::env::var("RUST_LOG").unwrap_or_else(|_| "warn".to_owned()),
            )
            .envs(settings.iter().copied())
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{name} cannot be started; build it first"))?;
        Ok(Program(child))
    }
}

/// A running program. Dropping it kills it.
pub(crate) struct Program(Child);

impl Program {
    /// A number of its kernel status, such as `VmRSS:`, in KiB.
    pub(crate) fn memory_kib(&self, field: &str) -> anyhow::Result<u64> {
        let status = self.read("status")?;
        let line = status.lines().find_map(|line| line.strip_prefix(field));
        let number = line.and_then(|line| line.split_whitespace().next());
        Ok(number
            .context("the kernel does not tell its memory")?
            .parse()?)
    }

    /// The processor time that it has used.
    pub(crate) fn cpu(&self) -> anyhow::Result<Duration> {
        let stat = self.read("stat")?;
        // The name, in parentheses, may hold spaces.
        let fields = stat.rsplit(')').next().unwrap_or_default();
        let ticks = fields.split_whitespace().skip(11).take(2);
        let ticks: u64 = ticks.map(str::parse::<u64>).sum::<Result<_, _>>()?;
        Ok(Duration::from_millis(ticks * 10))
    }

    /// The bytes that it has had written to disk.
    pub(crate) fn written(&self) -> anyhow::Result<u64> {
        let io = self.read("io")?;
        let line = io
            .lines()
            .find_map(|line| line.strip_prefix("write_bytes:"));
        Ok(line
            .context("the kernel does not tell its writes")?
            .trim()
            .parse()?)
    }

    fn read(&self, name: &str) -> anyhow::Result<String> {
        let pid = self.0.id().context("the program has ended")?;
        Ok(std::fs::read_to_string(format!("/proc/{pid}/{name}"))?)
    }
}
