//! When a fault fires, and calls that are parked until a test lets them go.
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use rand::{Rng, rngs::StdRng};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::lock;

/// Which of the calls that match a rule it spoils.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// The n-th matching call from now on, counted from 1, and no other.
    Nth(u64),
    /// The next n matching calls.
    Next(u64),
    /// Every one, until the rule is taken away.
    Always,
    /// Each with this probability, from 0 to 1.
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

/// Rules in the order they were given; the first that matches and fires wins.
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

    /// Every rule that matches counts the call; the first that fires is returned.
    pub(crate) fn pick(&self, dice: &Mutex<StdRng>, matches: impl Fn(&T) -> bool) -> Option<T> {
        let mut rules = lock(&self.rules);
        let mut chosen = None;
        for rule in rules.iter_mut().filter(|rule| matches(&rule.what)) {
            rule.seen += 1;
            let fires = match rule.when {
                When::Nth(n) => rule.seen == n,
                When::Next(n) => rule.seen <= n,
                When::Always => true,
                When::Chance(p) => lock(dice).random_bool(p.clamp(0.0, 1.0)),
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
    /// Before the call had any effect.
    Before,
    /// After the effect, before the answer.
    After,
}

/// A place where calls wait until they are let go.
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
    /// Returns once at least `calls` calls have arrived here.
    pub async fn arrived(&self, calls: usize) {
        // The sender lives in `self`, so waiting cannot fail.
        let _ = self
            .arrived
            .subscribe()
            .wait_for(|seen| *seen >= calls)
            .await;
    }

    /// Lets every parked call go, and every later one through.
    pub fn release(&self) {
        self.released.send_replace(true);
    }

    pub(crate) async fn park(&self) {
        self.arrived.send_modify(|seen| *seen += 1);
        let _ = self.released.subscribe().wait_for(|free| *free).await;
    }
}

/// Named holds, so that the control API can release what a rule parked.
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
