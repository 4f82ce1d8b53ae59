//! Selection of the calls that a fault hits, and holds that tests release.
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use rand::{Rng, rngs::StdRng};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::lock;

/// Selects among the calls that match a rule.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// Only the n-th matching call from now on, counted from 1.
    Nth(u64),
    /// The next n matching calls.
    Next(u64),
    /// Every matching call until the rule is removed.
    Always,
    /// Each matching call with this probability, from 0 to 1.
    Chance(f64),
}

impl Default for When {
    fn default() -> Self {
        Self::Next(1)
    }
}

#[derive(Debug)]
struct Rule<T> {
    what: T,
    when: When,
    seen: u64,
}

/// Rules in order of addition; the first that matches and fires is applied.
#[derive(Debug)]
pub(crate) struct Script<T> {
    rules: Mutex<Vec<Rule<T>>>,
}

impl<T> Default for Script<T> {
    fn default() -> Self {
        Self {
            rules: Mutex::new(Vec::new()),
        }
    }
}

impl<T: Clone> Script<T> {
    pub(crate) fn add(&self, when: When, what: T) {
        lock(&self.rules).push(Rule {
            what,
            when,
            seen: 0,
        });
    }

    pub(crate) fn clear(&self) {
        lock(&self.rules).clear();
    }

    /// The rules that are left, and how many calls each has matched.
    pub(crate) fn list(&self) -> Vec<(T, u64)> {
        let rules = lock(&self.rules);
        rules
            .iter()
            .map(|rule| (rule.what.clone(), rule.seen))
            .collect()
    }

    /// Counts the call in every matching rule, and returns the first that fires.
    pub(crate) fn pick(&self, rng: &Mutex<StdRng>, matches: impl Fn(&T) -> bool) -> Option<T> {
        let mut rules = lock(&self.rules);
        let mut chosen = None;
        for rule in rules.iter_mut().filter(|rule| matches(&rule.what)) {
            rule.seen += 1;
            let fires = match rule.when {
                When::Nth(n) => rule.seen == n,
                When::Next(n) => rule.seen <= n,
                When::Always => true,
                When::Chance(p) => lock(rng).random_bool(p.clamp(0.0, 1.0)),
            };
            if fires {
                chosen = Some(rule.what.clone());
                break;
            }
        }
        rules.retain(|rule| match rule.when {
            When::Nth(n) | When::Next(n) => rule.seen < n,
            When::Always | When::Chance(_) => true,
        });
        chosen
    }
}

/// Where a held call waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Before any effect.
    Before,
    /// After the effect, before the response.
    After,
}

/// A point where calls wait until they are released.
#[derive(Debug, Clone)]
pub struct Hold {
    arrived: Arc<watch::Sender<usize>>,
    released: Arc<watch::Sender<bool>>,
}

impl Default for Hold {
    fn default() -> Self {
        Self {
            arrived: Arc::new(watch::Sender::new(0)),
            released: Arc::new(watch::Sender::new(false)),
        }
    }
}

impl Hold {
    /// Waits until at least `calls` calls have arrived.
    pub async fn arrived(&self, calls: usize) {
        // The sender lives in `self`, so waiting cannot fail.
        let _ = self
            .arrived
            .subscribe()
            .wait_for(|seen| *seen >= calls)
            .await;
    }

    /// Releases every held call, and lets later ones through.
    pub fn release(&self) {
        self.released.send_replace(true);
    }

    pub(crate) async fn park(&self) {
        self.arrived.send_modify(|seen| *seen += 1);
        let _ = self.released.subscribe().wait_for(|free| *free).await;
    }
}

/// Holds by name, for release by the control API.
#[derive(Debug, Default)]
pub(crate) struct Holds(Mutex<BTreeMap<String, Hold>>);

impl Holds {
    pub(crate) fn named(&self, name: &str) -> Hold {
        lock(&self.0).entry(name.to_owned()).or_default().clone()
    }

    pub(crate) fn release_all(&self) {
        for hold in std::mem::take(&mut *lock(&self.0)).values() {
            hold.release();
        }
    }
}
