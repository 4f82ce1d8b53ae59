//! Reading the newest part of a list that grows while it is read.
//!
//! WHMCS does not document how GetOrders sorts and cannot filter by age. The first page reveals the
//! direction; then only the pages with ids above a watermark are read. New rows appear at the end
//! with the newest ids and never hide another row:
//!
//! - newest first: a new row moves the others *down*, so the next page repeats rows, which are
//!   recognised by their ids. A row is only skipped when more rows before it are deleted than
//!   added, and then the total shrinks.
//! - oldest first: a new row moves nothing, and deleted rows move the others *up*. Pages are read
//!   from the last one backwards, towards the rows that move, so none is skipped.
//!
//! A list in any other order is read completely, and again when it changes meanwhile.

use std::collections::BTreeMap;

use async_trait::async_trait;
use domain::ports::CallError;

/// A page of a list.
#[derive(Clone, Debug)]
pub(crate) struct Page<R> {
    /// Its rows, by id.
    pub(crate) rows: Vec<(u64, R)>,
    /// Total number of rows, if reported.
    pub(crate) total: Option<u64>,
}

impl<R> Page<R> {
    fn len(&self) -> u64 {
        self.rows.len() as u64
    }

    fn ids(&self) -> impl Iterator<Item = u64> {
        self.rows.iter().map(|(id, _)| *id)
    }

    fn ascends(&self) -> bool {
        self.rows.is_sorted_by(|(a, _), (b, _)| a < b)
    }

    fn descends(&self) -> bool {
        self.rows.is_sorted_by(|(a, _), (b, _)| a > b)
    }
}

/// The result of a read.
pub(crate) enum Read<R> {
    /// Every row above the watermark that existed when the read started, possibly with others.
    Complete(Vec<R>),
    /// Rows were deleted meanwhile, so others may have been skipped.
    Changed,
    /// The list is not sorted by id, or has no total.
    Unsorted,
}

/// A source of pages.
#[async_trait]
pub(crate) trait Pages<R>: Send {
    /// The page that starts at row `start`.
    async fn page(&mut self, start: u64) -> Result<Page<R>, CallError>;
}

/// Reads the rows with ids above `above`, or all rows.
pub(crate) async fn read<R: Send>(
    above: Option<u64>,
    pages: &mut impl Pages<R>,
) -> Result<Read<R>, CallError> {
    let first = pages.page(0).await?;
    let Some(total) = first.total else {
        return Ok(Read::Unsorted);
    };
    if first.len() >= total {
        let rows = first.rows.into_iter().map(|(_, row)| row);
        return Ok(Read::Complete(rows.collect()));
    }
    if first.len() < 2 {
        return Ok(Read::Unsorted);
    }
    if first.descends() {
        newest_first(above, first, total, pages).await
    } else if first.ascends() {
        oldest_first(above, first, total, pages).await
    } else {
        Ok(Read::Unsorted)
    }
}

async fn newest_first<R: Send>(
    above: Option<u64>,
    first: Page<R>,
    mut total: u64,
    pages: &mut impl Pages<R>,
) -> Result<Read<R>, CallError> {
    let mut start = first.len();
    let (mut highest, mut lowest) = (first.ids().max(), first.ids().min());
    let mut rows = BTreeMap::from_iter(first.rows);
    while start < total && lowest.zip(above).is_none_or(|(id, above)| id > above) {
        let next = pages.page(start).await?;
        match next.total {
            Some(now) if now >= total && !next.rows.is_empty() => total = now,
            _ => return Ok(Read::Changed),
        }
        // It may repeat rows of the previous page, and has none newer than those.
        if !next.descends() || next.ids().max() > highest {
            return Ok(Read::Unsorted);
        }
        start += next.len();
        highest = next.ids().max();
        lowest = lowest.min(next.ids().min());
        rows.extend(next.rows);
    }
    Ok(Read::Complete(rows.into_values().collect()))
}

async fn oldest_first<R: Send>(
    above: Option<u64>,
    first: Page<R>,
    mut total: u64,
    pages: &mut impl Pages<R>,
) -> Result<Read<R>, CallError> {
    // The server's actual page size.
    let stride = first.len();
    let newest_of_first = first.ids().max();
    let mut end = total;
    let mut lowest: Option<u64> = None;
    let mut rows = BTreeMap::from_iter(first.rows);
    loop {
        // Rows may have moved into the range of the first page since it was read, so reading stops
        // at its rows, not at its range.
        let joined = lowest.is_some_and(|id| Some(id) <= newest_of_first);
        let enough = lowest.zip(above).is_some_and(|(id, above)| id <= above);
        if joined || enough || end == 0 {
            return Ok(Read::Complete(rows.into_values().collect()));
        }
        let start = end.saturating_sub(stride);
        let next = pages.page(start).await?;
        match next.total {
            Some(now) if now >= total && next.len() >= end - start => total = now,
            _ => return Ok(Read::Changed),
        }
        if !next.ascends() || lowest.is_some_and(|id| next.ids().min() > Some(id)) {
            return Ok(Read::Unsorted);
        }
        lowest = next.ids().min();
        rows.extend(next.rows);
        end = start;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A list that changes before each page but the first.
    struct Table {
        ids: Vec<u64>,
        ascending: bool,
        /// Maximum rows per page.
        cap: usize,
        /// How many rows are added before each page, and which are deleted.
        added: Vec<usize>,
        deleted: Vec<Option<usize>>,
        calls: usize,
    }

    #[async_trait]
    impl Pages<u64> for Table {
        async fn page(&mut self, start: u64) -> Result<Page<u64>, CallError> {
            if self.calls > 0 {
                for _ in 0..self.added.get(self.calls).copied().unwrap_or_default() {
                    let next = self.ids.last().copied().unwrap_or_default() + 1;
                    self.ids.push(next);
                }
                let deleted = self.deleted.get(self.calls).copied().flatten();
                if let Some(at) = deleted.filter(|_| !self.ids.is_empty()) {
                    self.ids.remove(at % self.ids.len());
                }
            }
            self.calls += 1;
            let mut ids = self.ids.clone();
            if !self.ascending {
                ids.reverse();
            }
            let start = usize::try_from(start).unwrap();
            let rows = ids.iter().skip(start).take(self.cap);
            Ok(Page {
                rows: rows.map(|id| (*id, *id)).collect(),
                total: Some(ids.len() as u64),
            })
        }
    }

    fn table(n: u64, ascending: bool) -> Table {
        Table {
            ids: (1..=n).collect(),
            ascending,
            cap: 100,
            added: Vec::new(),
            deleted: Vec::new(),
            calls: 0,
        }
    }

    async fn complete(table: &mut Table, above: Option<u64>) -> Vec<u64> {
        match read(above, table).await.unwrap() {
            Read::Complete(ids) => ids,
            Read::Changed => panic!("the list did not shrink"),
            Read::Unsorted => panic!("the list is sorted"),
        }
    }

    #[tokio::test]
    async fn only_pages_above_watermark_are_read() {
        for (ascending, calls) in [(false, 1), (true, 2)] {
            let mut table = table(1000, ascending);
            let found = complete(&mut table, Some(990)).await;
            assert!((991..=1000).all(|id| found.contains(&id)));
            assert_eq!(table.calls, calls, "ascending: {ascending}");
        }
    }

    #[tokio::test]
    async fn everything_is_read_once_without_watermark() {
        for ascending in [false, true] {
            let mut table = table(1000, ascending);
            assert_eq!(complete(&mut table, None).await.len(), 1000);
            assert!(table.calls <= 11, "{} calls", table.calls);
        }
    }

    #[tokio::test]
    async fn unsorted_or_shrinking_list_is_not_complete() {
        let mut mixed = table(300, true);
        mixed.ids.swap(10, 20);
        assert!(matches!(read(None, &mut mixed).await, Ok(Read::Unsorted)));
        let mut mixed = table(300, true);
        mixed.ids.swap(150, 220);
        assert!(matches!(read(None, &mut mixed).await, Ok(Read::Unsorted)));
        let mut shrinking = table(300, false);
        shrinking.deleted = vec![None, Some(0)];
        assert!(matches!(
            read(None, &mut shrinking).await,
            Ok(Read::Changed)
        ));
    }

    proptest! {
        #[test]
        fn rows_existing_at_start_are_never_lost(
            n in 0_u64..400,
            ascending in any::<bool>(),
            cap in 1_usize..101,
            above in prop::option::of(0_u64..450),
            added in prop::collection::vec(0_usize..3, 0..12),
            deleted in prop::collection::vec(prop::option::weighted(0.2, 0_usize..500), 0..12),
        ) {
            let mut table = Table { cap, added, deleted, ..table(n, ascending) };
            let before = table.ids.clone();
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let result = runtime.block_on(read(above, &mut table)).unwrap();
            if let Read::Complete(found) = result {
                let lost: Vec<_> = before
                    .iter()
                    .filter(|id| above.is_none_or(|above| **id > above))
                    .filter(|id| table.ids.contains(id) && !found.contains(id))
                    .collect();
                prop_assert!(lost.is_empty(), "{lost:?} of {} in {} calls", n, table.calls);
            }
        }

        #[test]
        fn growing_list_is_read_completely(
            n in 0_u64..400,
            ascending in any::<bool>(),
            cap in 2_usize..101,
            added in prop::collection::vec(0_usize..2, 0..300),
        ) {
            let mut table = Table { cap, added, ..table(n, ascending) };
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let result = runtime.block_on(read(None, &mut table)).unwrap();
            prop_assert!(matches!(result, Read::Complete(_)));
        }
    }
}
