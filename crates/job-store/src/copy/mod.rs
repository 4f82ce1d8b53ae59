//! Copying a store to another engine or place without loss.

mod endpoint;
pub(crate) mod table;

use std::sync::Arc;

use domain::ports::{Clock, StoreError};
use operations::PROCESS_ALIVE;
use sha2::{Digest, Sha256};

use crate::{OpenError, StoreConfig, open};
pub(crate) use endpoint::End;
use endpoint::{Alive, PAGE};
use table::{Cell, Row, TABLES, Table};

/// Progress of a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The current table.
    pub table: &'static str,
    /// Rows of the table that are copied.
    pub done: u64,
    /// Rows of the table in the source.
    pub total: u64,
}

/// A table that is the same in both stores.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopiedTable {
    /// The table.
    pub table: &'static str,
    /// Rows in each of the stores.
    pub rows: u64,
    /// SHA-256 over the rows in the order of their keys, in hexadecimal; the same in each.
    pub checksum: String,
}

/// Why a copy failed.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// Both addresses name the same store.
    #[error("source and target are the same store. Give two addresses")]
    SameStore,
    /// The source does not exist.
    #[error("the source `{from}` is not there. Give the address of the store to copy")]
    NoSource {
        /// Its address, without a password.
        from: String,
    },
    /// A process uses the source.
    #[error(
        "a program still works with the source. Stop subscribers and workers, and wait until their leases have run out"
    )]
    InUse,
    /// A process is registered with one of the stores, though it may hold no lease.
    #[error(
        "{role} on {host} (process {pid}) still works with the {end}, last heard of {seconds} s ago. Stop it, or wait until it was silent for {} s", PROCESS_ALIVE.as_secs()
    )]
    ProcessAlive {
        /// `source` or `target`.
        end: &'static str,
        /// Its role.
        role: String,
        /// The machine it runs on.
        host: String,
        /// Its process id there.
        pid: i64,
        /// How long ago it reported, in seconds.
        seconds: i64,
    },
    /// The target holds rows that differ from the source's.
    #[error(
        "table `{table}` of the target holds other data. Give an empty target; one that was begun goes on only while nobody has used either store"
    )]
    OtherData {
        /// The first such table.
        table: &'static str,
    },
    /// The rows of the target differ from those that were written.
    #[error(
        "table `{table}` differs after copying. Do not use the target; copy again into an empty one"
    )]
    Differs {
        /// The first such table.
        table: &'static str,
    },
    /// One of the stores cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// One of the stores failed; a second run resumes here.
    #[error("the copy stopped; run it again and it goes on from there")]
    Store(#[from] StoreError),
}

/// Copies everything from one store to another, in either direction between the engines, and
/// compares both afterwards, row by row in count and checksum.
///
/// Leases are not copied: they belong to processes of the source. Jobs that were leased
/// become due, and go on from their facts.
///
/// After an interruption a second run recognises the target's rows as the source's first ones and
/// resumes after them; anything else is an error. An incomplete target
/// never has a job without its facts or a cursor ahead of the jobs.
///
/// `clock` decides whether a lease of a SQLite source is still valid.
///
/// # Errors
/// [`CopyError`]. The source is only migrated, never changed otherwise.
pub async fn copy(
    from: &StoreConfig,
    to: &StoreConfig,
    clock: Arc<dyn Clock>,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<Vec<CopiedTable>, CopyError> {
    if from.to_string() == to.to_string() {
        return Err(CopyError::SameStore);
    }
    if !from.is_there().await {
        let from = from.to_string();
        return Err(CopyError::NoSource { from });
    }
    // Opening migrates each schema; the copy has its own connections.
    drop(open(from, Arc::clone(&clock)).await?);
    drop(open(to, Arc::clone(&clock)).await?);
    let mut source = End::connect(from).await?;
    let mut target = End::connect(to).await?;
    nobody_works_with(&mut source, "source", &*clock).await?;
    nobody_works_with(&mut target, "target", &*clock).await?;
    source.freeze().await?;
    if source.is_in_use(&*clock).await? {
        return Err(CopyError::InUse);
    }
    let mut begun = Vec::new();
    for table in &TABLES {
        begun.push(common_beginning(&mut source, &mut target, table).await?);
    }
    for (table, after) in TABLES.iter().zip(begun) {
        carry(&mut source, &mut target, table, after, progress).await?;
    }
    let mut copied = Vec::new();
    for table in &TABLES {
        let (here, there) = (
            checksum(&mut source, table, true).await?,
            checksum(&mut target, table, false).await?,
        );
        if here != there {
            return Err(CopyError::Differs { table: table.name });
        }
        copied.push(here);
    }
    source.close().await;
    // A process that started meanwhile may have changed copied rows. The copy is a snapshot, so this
    // needs a separate check.
    let mut source = End::connect(from).await?;
    nobody_works_with(&mut source, "source", &*clock).await?;
    nobody_works_with(&mut target, "target", &*clock).await?;
    source.close().await;
    target.close().await;
    Ok(copied)
}

/// A process without a lease may claim a job at any moment.
async fn nobody_works_with(
    store: &mut End,
    end: &'static str,
    clock: &dyn Clock,
) -> Result<(), CopyError> {
    match store.alive(clock).await? {
        None => Ok(()),
        Some(Alive {
            role,
            host,
            pid,
            seconds,
        }) => Err(CopyError::ProcessAlive {
            end,
            role,
            host,
            pid,
            seconds,
        }),
    }
}

/// The key of the target's last row if all its rows are a prefix of the source's.
async fn common_beginning(
    source: &mut End,
    target: &mut End,
    table: &Table,
) -> Result<Option<Row>, CopyError> {
    let mut after = None;
    loop {
        let there = target.page(table, after.as_deref(), PAGE).await?;
        let Some(last) = there.last() else {
            return Ok(after);
        };
        let last = key(table, last);
        let here = page_without_leases(source, table, after.as_deref(), there.len()).await?;
        if here != there {
            return Err(CopyError::OtherData { table: table.name });
        }
        after = Some(last);
    }
}

async fn carry(
    source: &mut End,
    target: &mut End,
    table: &'static Table,
    mut after: Option<Row>,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<(), CopyError> {
    let total = source.count(table).await?;
    let mut done = target.count(table).await?;
    loop {
        progress(Progress {
            table: table.name,
            done,
            total,
        });
        let rows = page_without_leases(source, table, after.as_deref(), PAGE).await?;
        let Some(last) = rows.last() else {
            return Ok(());
        };
        target.insert(table, &rows).await?;
        done += rows.len() as u64;
        after = Some(key(table, last));
    }
}

async fn page_without_leases(
    source: &mut End,
    table: &Table,
    after: Option<&[Cell]>,
    limit: usize,
) -> Result<Vec<Row>, StoreError> {
    let mut rows = source.page(table, after, limit).await?;
    for row in &mut rows {
        table.clear_leases(row);
    }
    Ok(rows)
}

fn key(table: &Table, row: &Row) -> Row {
    row[..table.key].to_vec()
}

async fn checksum(
    end: &mut End,
    table: &'static Table,
    clear_leases: bool,
) -> Result<CopiedTable, StoreError> {
    let mut hash = Sha256::new();
    let mut rows = 0;
    let mut after = None;
    loop {
        let page = match clear_leases {
            true => page_without_leases(end, table, after.as_deref(), PAGE).await?,
            false => end.page(table, after.as_deref(), PAGE).await?,
        };
        let Some(last) = page.last() else { break };
        after = Some(key(table, last));
        rows += page.len() as u64;
        for cell in page.iter().flatten() {
            feed(&mut hash, cell);
        }
    }
    let checksum = hash
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    Ok(CopiedTable {
        table: table.name,
        rows,
        checksum,
    })
}

/// Encodes each value with type and length, so that different rows never encode alike.
fn feed(hash: &mut Sha256, cell: &Cell) {
    let (kind, bytes): (u8, &[u8]) = match cell {
        Cell::Null => (0, &[]),
        Cell::Int(number) => (1, &number.to_be_bytes()),
        Cell::Text(text) => (2, text.as_bytes()),
        Cell::Bytes(bytes) => (3, bytes),
    };
    hash.update([kind]);
    hash.update((bytes.len() as u64).to_be_bytes());
    hash.update(bytes);
}
