//! Settings of the job store.

use std::fmt;
use std::io::Read;
use std::path::PathBuf;

use settings::{Problem, Problems, SecretArg, secret_setting};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection};
use url::Url;

const NAME: &str = "DATABASE_URL";
const FIX: &str = "Give sqlite:PATH or postgres://USER@HOST/DATABASE";
/// The parameters allowed in a PostgreSQL URL. The driver would log any other
/// else with its value, which may be a mistyped password.
const PARAMETERS: [&str; 12] = [
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
    "options",
];

secret_setting! {
    /// Job store: sqlite:PATH or postgres://USER@HOST/DATABASE
    pub DatabaseUrl = "DATABASE_URL", Some("sqlite:data/orderbridge.db")
}

/// Where the store is, as given.
#[derive(clap::Args, Clone, Debug)]
pub struct StoreArgs {
    #[command(flatten)]
    address: SecretArg<DatabaseUrl>,
}

impl StoreArgs {
    /// Checks everything, noting each problem.
    #[must_use]
    pub fn check(&self, problems: &mut Problems) -> Option<StoreConfig> {
        let given = self.address.read();
        let address = self.address.required(given, problems)?;
        problems.take(StoreConfig::parse(address.expose().trim()))
    }
}

/// The store's validated address. `Display` leaves the password out.
#[derive(Clone)]
pub struct StoreConfig(pub(crate) Address);

#[derive(Clone)]
pub(crate) enum Address {
    Sqlite(PathBuf),
    Postgres(Box<PgConnectOptions>),
}

impl StoreConfig {
    /// Reads an address: `sqlite:PATH`, `sqlite://PATH`, `postgres://…` or `postgresql://…`.
    ///
    /// # Errors
    /// Names what is wrong with it, and nothing of its value.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        match text.split_once(':') {
            Some(("sqlite", rest)) => sqlite(rest).map(Address::Sqlite),
            Some(("postgres" | "postgresql", _)) => {
                postgres(text).map(|options| Address::Postgres(Box::new(options)))
            }
            _ => Err(problem(
                "it names neither SQLite nor PostgreSQL".to_owned(),
                FIX,
            )),
        }
        .map(Self)
    }
}

/// The first bytes of every SQLite file that was written to.
const SQLITE_MAGIC: &[u8] = b"SQLite format 3\0";

impl StoreConfig {
    /// Checks that there is such a store already, for callers that must not create it.
    ///
    /// # Errors
    /// There is none, or the file cannot be read or is none of SQLite.
    pub async fn check_existing(&self) -> Result<(), Problem> {
        if !self.is_there().await {
            return Err(problem(
                format!("the store `{self}` does not exist"),
                "Correct it, or create the store with `orderctl db migrate`",
            ));
        }
        let Address::Sqlite(path) = &self.0 else {
            return Ok(());
        };
        let mut start = Vec::new();
        let read = std::fs::File::open(path)
            .and_then(|file| file.take(SQLITE_MAGIC.len() as u64).read_to_end(&mut start));
        let why = match read {
            Err(error) => error.to_string(),
            Ok(_) if start.is_empty() || start == SQLITE_MAGIC => return Ok(()),
            Ok(_) => "it is not a SQLite database".to_owned(),
        };
        Err(problem(
            format!(
                "`{}` cannot be opened as a job store: {why}",
                path.display()
            ),
            "Use the path of a job store that this program may read and write",
        ))
    }

    /// Whether there is such a store already. A server that does not answer counts as one:
    /// opening it says more.
    pub async fn is_there(&self) -> bool {
        match &self.0 {
            Address::Sqlite(path) => path.is_file(),
            Address::Postgres(options) => match options.connect().await {
                Ok(connection) => connection.close().await.is_ok(),
                Err(error) => {
                    let code = error
                        .as_database_error()
                        .and_then(sqlx::error::DatabaseError::code);
                    code.as_deref() != Some("3D000")
                }
            },
        }
    }
}

impl fmt::Display for StoreConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Address::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Address::Postgres(options) => write!(
                f,
                "postgres://{}:{}/{}",
                options.get_host(),
                options.get_port(),
                options.get_database().unwrap_or_default()
            ),
        }
    }
}

impl fmt::Debug for StoreConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn sqlite(rest: &str) -> Result<PathBuf, Problem> {
    let path = rest.strip_prefix("//").unwrap_or(rest);
    if path.is_empty() || path.contains(":memory:") || path.contains("mode=memory") {
        return Err(problem(
            "it names an in-memory database, which would forget every order".to_owned(),
            "Give sqlite:PATH with a file",
        ));
    }
    if path.contains('?') {
        return Err(problem(
            "it has a query".to_owned(),
            "Give sqlite:PATH only",
        ));
    }
    Ok(PathBuf::from(path))
}

fn postgres(text: &str) -> Result<PgConnectOptions, Problem> {
    let url = Url::parse(text)
        .map_err(|error| problem(format!("it is no PostgreSQL URL: {error}"), FIX))?;
    if let Some((key, _)) = url
        .query_pairs()
        .find(|(key, _)| !PARAMETERS.contains(&&**key))
    {
        return Err(problem(
            format!("it has a parameter `{key}` that we do not know"),
            format!("Leave it out; known are {}", PARAMETERS.join(", ")),
        ));
    }
    let database = url.path().trim_matches('/');
    if database.is_empty() && !url.query_pairs().any(|(key, _)| key == "dbname") {
        return Err(problem("it names no database".to_owned(), FIX));
    }
    // The driver's error may contain the value, so it is not shown.
    ConnectOptions::from_url(&url).map_err(|_| {
        problem(
            "it has an sslmode, port or other value that cannot be used".to_owned(),
            "Give sslmode=disable, prefer, require, verify-ca or verify-full, and a port from 1 to 65535",
        )
    })
}

fn problem(what: String, fix: impl Into<String>) -> Problem {
    Problem::new(NAME, what, fix)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        StoreConfig::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn in_memory_database_url_is_rejected() {
        for text in [
            "sqlite::memory:",
            "sqlite:",
            "sqlite://:memory:",
            "sqlite:x?mode=memory",
        ] {
            assert!(refused(text).contains("in-memory"), "{text}");
        }
    }

    #[test]
    fn invalid_database_url_is_rejected() {
        for text in [
            "",
            "data/x.db",
            "mysql://x/y",
            "postgres:",
            "postgres://",
            "postgres://host",
            "postgres://host:notaport/db",
            "postgres://host/db?sslmode=perhaps",
            "postgres://host/db?passwd=hunter2",
            "sqlite:x?cache=shared",
        ] {
            assert!(refused(text).starts_with("DATABASE_URL: "), "{text}");
        }
    }

    #[test]
    fn password_is_never_shown() {
        let url = "postgres://user:hunter2@db.example.com:6000/orders?sslmode=verify-full";
        let config = StoreConfig::parse(url).unwrap();
        let args = settings::given::<StoreArgs>([(NAME, url)]).unwrap().args;
        assert_eq!(config.to_string(), "postgres://db.example.com:6000/orders");
        for shown in [
            format!("{config:?}"),
            format!("{args:?}"),
            refused("postgres://user:hunter2@host:99999/db"),
            refused("postgres://user:hunter2@host/"),
            refused("postgres://host/db?passwd=hunter2"),
            refused("oracle://user:hunter2@host/db"),
        ] {
            assert!(!shown.contains("hunter2"), "{shown}");
        }
    }

    #[test]
    fn default_store_is_file_in_data_folder() {
        let mut problems = Problems::new();
        let args = settings::defaults::<StoreArgs>().unwrap();
        let config = args.check(&mut problems).unwrap();
        assert_eq!(config.to_string(), "sqlite:data/orderbridge.db");
        assert!(problems.is_empty());
    }
}
