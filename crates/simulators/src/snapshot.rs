//! Snapshots of a whole world, and the way back to one.
use serde::{Deserialize, Serialize};

use crate::{salesforce::SavedOrg, whmcs::SavedInstall, world::World};

/// The format of snapshots.
const FORMAT: u32 = 1;

/// The state of both simulators: records, events and tables. Sessions, calls and faults are no part
/// of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Snapshot {
    format: u32,
    products: usize,
    accounts: usize,
    salesforce: SavedOrg,
    whmcs: SavedInstall,
}

/// Why a snapshot cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// Of another version of the sandbox.
    #[error("the snapshot has format {found}, and this sandbox reads format {FORMAT}")]
    Format {
        /// The format of the snapshot.
        found: u32,
    },
    /// Of a sandbox of another size.
    #[error(
        "the snapshot is of a sandbox with {products} products and {accounts} accounts. Start with --products {products} --accounts {accounts}"
    )]
    Size {
        /// Its products.
        products: usize,
        /// Its accounts.
        accounts: usize,
    },
    /// It contradicts itself.
    #[error("the snapshot is damaged: {0}")]
    Damaged(String),
}

impl World {
    /// The state of both simulators.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            format: FORMAT,
            products: self.products.len(),
            accounts: self.accounts.len(),
            salesforce: self.salesforce.save(),
            whmcs: self.whmcs.save(),
        }
    }

    /// Puts a state back. Event streams end, replay ids of the snapshot are valid again, and those
    /// issued after it are not.
    pub fn restore(&self, snapshot: Snapshot) -> Result<(), SnapshotError> {
        self.load(snapshot, false)
    }

    fn load(&self, snapshot: Snapshot, fresh: bool) -> Result<(), SnapshotError> {
        if snapshot.format != FORMAT {
            let found = snapshot.format;
            return Err(SnapshotError::Format { found });
        }
        let (products, accounts) = (snapshot.products, snapshot.accounts);
        if (products, accounts) != (self.products.len(), self.accounts.len()) {
            return Err(SnapshotError::Size { products, accounts });
        }
        self.salesforce
            .load(snapshot.salesforce, fresh)
            .map_err(SnapshotError::Damaged)?;
        self.whmcs.load(snapshot.whmcs);
        Ok(())
    }

    /// Makes the present state the one that [`World::reset`] goes back to, unless there is one.
    pub fn remember(&self) {
        self.initial.get_or_init(|| self.snapshot());
    }

    /// Goes back to the remembered state: records and tables as they were, no events, faults or
    /// calls. Replay ids issued so far become invalid, as after a refresh of an org.
    pub fn reset(&self) -> Result<(), SnapshotError> {
        self.salesforce.clear_faults();
        self.whmcs.clear_faults();
        if let Some(initial) = self.initial.get() {
            self.load(initial.clone(), true)?;
        }
        self.salesforce.clear_calls();
        self.whmcs.clear_calls();
        Ok(())
    }
}
