//! Access tokens and their instance.
use std::{
    collections::HashMap,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use rand::{Rng, rngs::StdRng};

use crate::{clock::SkewedClock, lock};

/// Valid access tokens.
#[derive(Debug)]
pub(crate) struct Sessions {
    timeout: Duration,
    live: Mutex<HashMap<String, Timestamp>>,
    minted: AtomicU64,
    refusing: AtomicBool,
}

impl Sessions {
    pub(crate) fn new(timeout: Duration) -> Self {
        Self {
            timeout,
            live: Mutex::default(),
            minted: AtomicU64::new(0),
            refusing: AtomicBool::new(false),
        }
    }

    pub(crate) fn mint(&self, org: &str, rng: &Mutex<StdRng>, clock: &SkewedClock) -> String {
        const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._";
        let tail: String = {
            let mut rng = lock(rng);
            (0..60)
                .map(|_| char::from(DIGITS[rng.random_range(0..DIGITS.len())]))
                .collect()
        };
        let token = format!("{}!AQ{tail}", &org[..15]);
        lock(&self.live).insert(token.clone(), clock.now());
        self.minted.fetch_add(1, Ordering::SeqCst);
        token
    }

    /// Whether a token is valid; each use extends its life.
    pub(crate) fn accept(&self, token: &str, clock: &SkewedClock) -> bool {
        if self.refusing.load(Ordering::SeqCst) {
            return false;
        }
        let now = clock.now();
        let timeout = SignedDuration::try_from(self.timeout).unwrap_or(SignedDuration::MAX);
        let mut live = lock(&self.live);
        let good = live
            .get(token)
            .is_some_and(|used| now.duration_since(*used) < timeout);
        if good {
            live.insert(token.to_owned(), now);
        } else {
            live.remove(token);
        }
        good
    }

    /// Sets whether every session is rejected.
    pub(crate) fn refuse(&self, refuse: bool) {
        self.refusing.store(refuse, Ordering::SeqCst);
    }

    /// Ends one session; false if there is none.
    pub(crate) fn revoke(&self, token: &str) -> bool {
        lock(&self.live).remove(token).is_some()
    }

    pub(crate) fn revoke_all(&self) {
        lock(&self.live).clear();
    }

    pub(crate) fn minted(&self) -> u64 {
        self.minted.load(Ordering::SeqCst)
    }
}
