//! How often each account does something at the same time.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use domain::id::AccountId;

type InUse = Mutex<HashMap<AccountId, usize>>;

/// A number of permits for each account. Clones share them.
#[derive(Clone)]
pub(crate) struct AccountPermits {
    each: NonZeroUsize,
    in_use: Arc<InUse>,
}

/// A permit, given back when it is dropped.
pub(crate) struct AccountPermit {
    account: AccountId,
    in_use: Arc<InUse>,
}

impl AccountPermits {
    pub(crate) fn new(each: NonZeroUsize) -> Self {
        Self {
            each,
            in_use: Arc::default(),
        }
    }

    /// A permit; `None` when all of the account are in use.
    pub(crate) fn take(&self, account: AccountId) -> Option<AccountPermit> {
        let mut in_use = self.in_use.lock().unwrap_or_else(PoisonError::into_inner);
        let count = in_use.entry(account).or_default();
        if *count >= self.each.get() {
            return None;
        }
        *count += 1;
        Some(AccountPermit {
            account,
            in_use: Arc::clone(&self.in_use),
        })
    }
}

impl Drop for AccountPermit {
    fn drop(&mut self) {
        let mut in_use = self.in_use.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = in_use.get_mut(&self.account) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                in_use.remove(&self.account);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permits_given_back_leave_no_trace_of_their_account() {
        let permits = AccountPermits::new(NonZeroUsize::MIN);
        let account = |id| AccountId::parse(id).unwrap();
        let permit = permits.take(account("001000000000001"));
        assert!(permit.is_some());
        assert!(permits.take(account("001000000000001")).is_none());
        assert!(permits.take(account("001000000000002")).is_some());
        drop(permit);
        assert!(permits.in_use.lock().unwrap().is_empty());
    }
}
