//! Reads of WHMCS, side by side.

use domain::order::{Observed, Read, Reads};
use domain::ports::{CallAction, CallError, JobChange, StoreError, System, observe};
use futures::future::{join, join_all};

use super::Attempt;

impl Attempt<'_> {
    /// Makes these reads at the same time and keeps their answers. Facts that wait are committed
    /// meanwhile: everybody sees them while WHMCS is slow.
    ///
    /// # Errors
    /// [`StoreError`]; and [`CallError`] of the read that the next decision needs. The others may
    /// fail: the planner asks for their answers again when it needs them.
    pub(super) async fn read(
        &mut self,
        reads: &Reads,
    ) -> Result<Result<(), CallError>, StoreError> {
        let waiting = (!self.pending.is_empty()).then(|| self.update(JobChange::Keep));
        let committing = async {
            match &waiting {
                Some(update) => self.commit(update).await,
                None => Ok(()),
            }
        };
        let (read, committed) = join(self.read_all(reads), committing).await;
        committed?;
        self.known += waiting.map_or(0, |update| update.facts.len());
        Ok(read.map(|observed| self.observed.add(observed)))
    }

    async fn read_all(&self, reads: &Reads) -> Result<Observed, CallError> {
        let all = std::iter::once(&reads.needed).chain(&reads.ahead);
        let whmcs = join_all(all.map(|read| self.observe(read)));
        let both = join(whmcs, self.guard_ahead(reads.guard));
        let (answers, guard) = self.calls.in_one_slot(System::Whmcs, both).await;
        let mut answers = answers.into_iter();
        let mut observed = answers.next().unwrap_or_else(|| Ok(Observed::default()))?;
        for ahead in answers.flatten() {
            observed.add(ahead);
        }
        observed.add(guard.unwrap_or_default());
        Ok(observed)
    }

    async fn observe(&self, read: &Read) -> Result<Observed, CallError> {
        let call = observe(&*self.ports.reads, read);
        self.calls.record(read.action(), call).await
    }

    async fn guard_ahead(&self, wanted: bool) -> Option<Observed> {
        if !wanted || self.salesforce_unavailable().is_some() {
            return None;
        }
        let call = self.ports.crm.order_guard(self.claimed.job.order);
        let guard = self.calls.record(CallAction::OrderGuard, call).await.ok()?;
        Some(Observed {
            guard: Some(guard),
            ..Observed::default()
        })
    }
}
