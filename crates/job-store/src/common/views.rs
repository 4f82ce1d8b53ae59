//! Views of orders and events for the console and the command line.

use async_trait::async_trait;
use domain::id::OrderId;
use domain::key::{Channel, DeadLetterId, JobId};
use domain::order::MarkerProof;
use domain::ports::{DeadLetterView, StoreError};
use operations::{
    CursorHistoryEntry, EventViews, GapView, JobStage, JobView, OrderQuery, OrderRow, OrderViews,
    RecordedCall, RecordedFact, StreamView,
};

use super::{Store, built_statement, statement};
use crate::damage::readable;
use crate::list::{Filter, Value};
use crate::queue_stats::{letters_of, open_letters};
use crate::row::{self, kept_columns};
use crate::view::{self, limit, view_columns};

#[async_trait]
impl OrderViews for Store {
    async fn jobs_of(&self, order: OrderId) -> Result<Vec<JobView>, StoreError> {
        const OF_ORDER: &str = concat!(
            "SELECT ",
            view_columns!(),
            " FROM job WHERE order_id = $1 ORDER BY seq"
        );
        let rows = self.rows(|_| statement(OF_ORDER).bind(order.as_str().to_owned()));
        readable(&rows.await?, row::view)
    }

    async fn facts_of(&self, order: OrderId) -> Result<Vec<RecordedFact>, StoreError> {
        let text = "SELECT at, job_id, kind, body FROM fact WHERE order_id = $1 ORDER BY seq";
        let rows = self.rows(|_| statement(text).bind(order.as_str().to_owned()));
        readable(&rows.await?, row::fact)
    }

    async fn calls_of(&self, order: OrderId) -> Result<Vec<RecordedCall>, StoreError> {
        let rows = self.rows(|_| statement(view::calls!()).bind(order.as_str().to_owned()));
        readable(&rows.await?, view::call)
    }

    async fn marker_proof(&self) -> Result<Option<MarkerProof>, StoreError> {
        const EVIDENCE: &str = concat!("SELECT ", kept_columns!());
        let rows = self.rows(|_| statement(EVIDENCE)).await?;
        rows.first().map_or(Ok(None), row::marker_proof)
    }

    async fn job(&self, job: &JobId) -> Result<Option<JobView>, StoreError> {
        const BY_ID: &str = concat!("SELECT ", view_columns!(), " FROM job WHERE id = $1");
        let rows = self.rows(|_| statement(BY_ID).bind(job.as_str())).await?;
        Ok(readable(&rows, row::view)?.pop())
    }

    async fn jobs(
        &self,
        stage: Option<JobStage>,
        after: Option<&JobId>,
        count: usize,
    ) -> Result<Vec<JobView>, StoreError> {
        const JOBS: &str = concat!(
            "SELECT ",
            view_columns!(),
            " FROM job WHERE ($1 = '' OR state = $1)
               AND ($2 = '' OR seq < (SELECT seq FROM job WHERE id = $2))
             ORDER BY seq DESC LIMIT $3"
        );
        let rows = self.rows(|_| {
            statement(JOBS)
                .bind(stage.map_or("", JobStage::name))
                .bind(after.map_or("", JobId::as_str))
                .bind(limit(count))
        });
        readable(&rows.await?, row::view)
    }

    async fn orders(&self, query: &OrderQuery) -> Result<Vec<OrderRow>, StoreError> {
        let filter = Filter::of(query);
        let rows = self.rows(|_| {
            let (text, values) = filter.statement();
            values
                .into_iter()
                .fold(built_statement(text), |statement, value| match value {
                    Value::Int(number) => statement.bind(number),
                    Value::Text(text) => statement.bind(text),
                })
        });
        readable(&rows.await?, view::order)
    }
}

#[async_trait]
impl EventViews for Store {
    async fn open_dead_letters(&self) -> Result<u64, StoreError> {
        let rows = self.rows(|_| statement(open_letters!())).await?;
        rows.first().map_or(Ok(0), letters_of)
    }

    async fn stream(&self, channel: &Channel) -> Result<StreamView, StoreError> {
        let rows = self.rows(|_| {
            statement(
                "SELECT replay_id, committed_at, last_event_at, owner, epoch, lease_until
                 FROM stream WHERE channel = $1",
            )
            .bind(channel.as_str())
        });
        let rows = rows.await?;
        rows.first()
            .map_or_else(|| Ok(StreamView::default()), row::stream)
    }

    async fn cursor_history(
        &self,
        channel: &Channel,
        count: usize,
    ) -> Result<Vec<CursorHistoryEntry>, StoreError> {
        let rows = self.rows(|_| {
            statement("SELECT * FROM cursor_mark WHERE channel = $1 ORDER BY seq DESC LIMIT $2")
                .bind(channel.as_str())
                .bind(limit(count))
        });
        rows.await?.iter().map(view::mark).collect()
    }

    async fn dead_letters(
        &self,
        open_only: bool,
        after: Option<DeadLetterId>,
        count: usize,
    ) -> Result<Vec<DeadLetterView>, StoreError> {
        let text = match open_only {
            true => {
                "SELECT * FROM dead_letter WHERE seq < $1 AND closed_at IS NULL
                 ORDER BY seq DESC LIMIT $2"
            }
            false => "SELECT * FROM dead_letter WHERE seq < $1 ORDER BY seq DESC LIMIT $2",
        };
        let after = after.map_or(i64::MAX, |after| after.0);
        let rows = self.rows(|_| statement(text).bind(after).bind(limit(count)));
        readable(&rows.await?, view::dead_letter)
    }

    async fn gaps(&self, count: usize) -> Result<Vec<GapView>, StoreError> {
        let text = "SELECT * FROM gap ORDER BY seq DESC LIMIT $1";
        let rows = self.rows(|_| statement(text).bind(limit(count)));
        readable(&rows.await?, view::gap)
    }
}
