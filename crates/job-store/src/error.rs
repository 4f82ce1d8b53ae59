//! From the driver's errors to what a caller can do.

use domain::ports::StoreError;
use error_chain::chain;
use settings::Problem;

/// The store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Before SQLite 3.51.3 two connections writing and
    /// checkpointing together can corrupt a file.
    #[error("SQLite {found} is too old; 3.51.3 or newer is needed")]
    TooOld {
        /// The version found.
        found: String,
    },
    /// The file cannot be created or opened: wrong path, rights, or not a database.
    #[error("`{path}` cannot be opened as a job store")]
    Unusable {
        /// The file.
        path: String,
        /// Why.
        source: Box<OpenError>,
    },
    /// The store cannot be reached, or the file not be used.
    #[error("the job store cannot be opened")]
    Failed(#[source] sqlx::Error),
    /// The schema cannot be migrated.
    #[error("the job store cannot be migrated")]
    Migration(#[from] sqlx::migrate::MigrateError),
}

impl OpenError {
    /// The setting's problem, if the path of `DATABASE_URL` is what cannot be used; a server that
    /// does not answer is none.
    ///
    /// # Errors
    /// This error otherwise.
    pub fn into_problem(self) -> Result<Problem, Self> {
        match &self {
            Self::Unusable { .. } => Ok(Problem::new(
                "DATABASE_URL",
                chain(&self).to_string(),
                "Use the path of a SQLite file that this program may create and write",
            )),
            _ => Err(self),
        }
    }

    /// Names the file if it is what cannot be used, and not, for example, locked at the moment.
    pub(crate) fn of_file(self, path: &std::path::Path) -> Self {
        let (Self::Failed(cause) | Self::Migration(sqlx::migrate::MigrateError::Execute(cause))) =
            &self
        else {
            return self;
        };
        // READONLY, CANTOPEN and NOTADB, whatever their extended code says besides.
        let unusable = match cause {
            sqlx::Error::Io(_) => true,
            sqlx::Error::Database(error) => error
                .code()
                .and_then(|code| code.parse::<u32>().ok())
                .is_some_and(|code| matches!(code & 0xff, 8 | 14 | 26)),
            _ => false,
        };
        match unusable {
            true => Self::Unusable {
                path: path.display().to_string(),
                source: Box::new(self),
            },
            false => self,
        }
    }
}

pub(crate) fn unavailable(error: sqlx::Error) -> StoreError {
    match error {
        sqlx::Error::ColumnDecode { index, source } => StoreError::Corrupt {
            what: index,
            source,
        },
        other if is_data_error(&other) => StoreError::Unstorable(Box::new(other)),
        other => StoreError::Unavailable(Box::new(other)),
    }
}

/// Whether the data itself cannot be stored, so that a retry fails as well.
fn is_data_error(error: &sqlx::Error) -> bool {
    if matches!(error, sqlx::Error::Encode(_)) {
        return true;
    }
    let Some(error) = error.as_database_error() else {
        return false;
    };
    let code = error.code().unwrap_or_default();
    match error.try_downcast_ref::<sqlx::sqlite::SqliteError>() {
        // TOOBIG, MISMATCH and CONSTRAINT_DATATYPE.
        Some(_) => matches!(&*code, "18" | "20" | "3091"),
        // Data exceptions, and limits of the program such as the size of an index row.
        None => code.starts_with("22") || code.starts_with("54"),
    }
}

pub(crate) fn corrupt(
    what: impl Into<String>,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> StoreError {
    StoreError::Corrupt {
        what: what.into(),
        source: source.into(),
    }
}

/// Shorthand for operations: the driver's error as ours.
pub(crate) trait OrUnavailable<T> {
    fn or_unavailable(self) -> Result<T, StoreError>;
}

impl<T> OrUnavailable<T> for Result<T, sqlx::Error> {
    fn or_unavailable(self) -> Result<T, StoreError> {
        self.map_err(unavailable)
    }
}
