//! The tables of a store, the same on both engines.

/// One value of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cell {
    Null,
    Int(i64),
    Text(String),
    Bytes(Vec<u8>),
}

/// The type of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Int,
    Text,
    Bytes,
}

pub(crate) type Row = Vec<Cell>;

/// A table: its key comes first among its columns, and rows are read in the key's order.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) name: &'static str,
    pub(crate) key: usize,
    pub(crate) columns: &'static [(&'static str, Kind)],
}

use Kind::{Bytes, Int, Text};

/// Every table that is copied, in the sequence of copying. Facts come before jobs and jobs before the
/// cursor: a process started on a partial copy finds no job without its facts and no
/// cursor ahead of the jobs. The process registry, the alerts and the sessions of operators are
/// not copied: they belong to the old installation and are rebuilt by the new one.
pub(crate) const TABLES: [Table; 11] = [
    Table {
        name: "fact",
        key: 1,
        columns: &[
            ("seq", Int),
            ("order_id", Text),
            ("job_id", Text),
            ("at", Int),
            ("kind", Text),
            ("marked", Int),
            ("body", Text),
        ],
    },
    Table {
        name: "inbox",
        key: 2,
        columns: &[("channel", Text), ("event_id", Text), ("received_at", Int)],
    },
    Table {
        name: "dead_letter",
        key: 1,
        columns: &[
            ("seq", Int),
            ("channel", Text),
            ("event_id", Text),
            ("replay_id", Bytes),
            ("reason", Text),
            ("detail", Text),
            ("schema_id", Text),
            ("payload", Bytes),
            ("received_at", Int),
            ("closed_at", Int),
            ("asked_at", Int),
            ("fields", Text),
        ],
    },
    Table {
        name: "outside_call",
        key: 3,
        columns: &[
            ("order_id", Text),
            ("job_id", Text),
            ("number", Int),
            ("at", Int),
            ("took", Int),
            ("action", Text),
            ("outcome", Text),
        ],
    },
    Table {
        name: "cursor_mark",
        key: 1,
        columns: &[
            ("seq", Int),
            ("channel", Text),
            ("at", Int),
            ("kind", Text),
            ("replay_id", Bytes),
            ("detail", Text),
        ],
    },
    Table {
        name: "gap",
        key: 1,
        columns: &[
            ("seq", Int),
            ("channel", Text),
            ("from_at", Int),
            ("until_at", Int),
            ("detail", Text),
        ],
    },
    Table {
        name: "audit",
        key: 1,
        columns: &[
            ("seq", Int),
            ("at", Int),
            ("who", Text),
            ("act", Text),
            ("subject", Text),
            ("reason", Text),
        ],
    },
    Table {
        name: "orders",
        key: 1,
        columns: &[
            ("order_id", Text),
            ("number", Text),
            ("account", Text),
            ("whmcs_order", Int),
            ("stage", Text),
            ("code", Text),
            ("attempts", Int),
            ("updated_at", Int),
            ("handled_by", Text),
            ("handled_why", Text),
            ("handled_at", Int),
        ],
    },
    Table {
        name: "pause",
        key: 1,
        columns: &[
            ("what", Text),
            ("who", Text),
            ("reason", Text),
            ("since", Int),
        ],
    },
    Table {
        name: "job",
        key: 1,
        columns: &[
            ("seq", Int),
            ("id", Text),
            ("order_id", Text),
            ("source", Text),
            ("event_id", Text),
            ("idem_key", Text),
            ("correlation", Text),
            ("requested_by", Text),
            ("requested_at", Int),
            ("enqueued_at", Int),
            ("state", Text),
            ("due_at", Int),
            ("fence", Text),
            ("lease_until", Int),
            ("deferrals", Int),
            ("started_at", Int),
            ("ended_at", Int),
            ("set_aside", Text),
        ],
    },
    Table {
        name: "stream",
        key: 1,
        columns: &[
            ("channel", Text),
            ("replay_id", Bytes),
            ("committed_at", Int),
            ("last_event_at", Int),
            ("owner", Text),
            ("epoch", Int),
            ("lease_until", Int),
            ("lost", Int),
        ],
    },
];

impl Table {
    pub(crate) fn names(&self) -> String {
        let names: Vec<_> = self.columns.iter().map(|(name, _)| *name).collect();
        names.join(", ")
    }

    pub(crate) fn key_names(&self) -> String {
        let names: Vec<_> = self.columns[..self.key]
            .iter()
            .map(|(name, _)| *name)
            .collect();
        names.join(", ")
    }

    /// Whether the store generates the key.
    pub(crate) fn is_numbered(&self) -> bool {
        self.columns[0].0 == "seq"
    }

    fn place(&self, column: &str) -> Option<usize> {
        self.columns.iter().position(|(name, _)| *name == column)
    }

    /// Takes leases off a row: they belong to processes of the source. A leased job becomes
    /// due, and a channel has no leader; its epoch is kept.
    pub(crate) fn clear_leases(&self, row: &mut Row) {
        let mut set = |column, value| {
            if let Some(place) = self.place(column) {
                row[place] = value;
            }
        };
        match self.name {
            "job" => {
                set("fence", Cell::Null);
                set("lease_until", Cell::Null);
            }
            "stream" => {
                set("owner", Cell::Null);
                set("lease_until", Cell::Int(0));
            }
            _ => {}
        }
        let leased = Cell::Text("leased".to_owned());
        if let Some(state) = self.place("state")
            && row[state] == leased
        {
            row[state] = Cell::Text("queued".to_owned());
        }
    }
}
