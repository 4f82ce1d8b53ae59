//! A store in a folder, and the command line on it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use domain::failure::{Code, Refusal};
use domain::id::AccountId;
use domain::job::JobOutcome;
use domain::key::{ReplayId, WhmcsOrderId};
use domain::order::Fact;
use domain::ports::{Clock, Delivery, Entry};
use job_store::{Store, StoreConfig};
use orderctl::{Cli, Exit, Screen, Stop};
use runtime::SystemClock;
use serde_json::Value;
use testkit::JobQueueExt;
use testkit::{SharedBuffer, channel, dead_letter, delivery, gap, lead, new_job, order_id, owner};

const TTL: Duration = Duration::from_secs(60);

pub(crate) struct TestEnv {
    pub(crate) store: Store,
    folder: tempfile::TempDir,
}

/// What a command has left behind.
pub(crate) struct Ran {
    pub(crate) ended: Result<Exit, Stop>,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Runs a command without a TTY.
pub(crate) async fn run(words: &[&str]) -> Ran {
    let cli = Cli::try_parse_from(std::iter::once(&"orderctl").chain(words)).unwrap();
    let (out, err) = (SharedBuffer::default(), SharedBuffer::default());
    let mut screen = Screen {
        out: Box::new(out.clone()),
        err: Box::new(err.clone()),
        terminal: false,
        format: cli.output,
    };
    let ended = orderctl::run(cli, &mut screen).await;
    Ran {
        ended,
        out: out.text(),
        err: err.text(),
    }
}

impl Ran {
    /// The result, of a command that went well.
    pub(crate) fn json(&self) -> Value {
        assert!(self.ended.is_ok(), "{:?}: {}", self.ended, self.err);
        let mut value = normal(serde_json::from_str(&self.out).unwrap());
        value.sort_all_objects();
        value
    }

    /// Why it was not done.
    pub(crate) fn refused(&self) -> String {
        match &self.ended {
            Err(Stop::Usage(text) | Stop::NotFound(text)) => text.clone(),
            Err(Stop::Failed(runtime::Failure::Run(error))) => error.to_string(),
            Err(Stop::Failed(runtime::Failure::Config(problems))) => problems.to_string(),
            other => panic!("{other:?}: {}", self.out),
        }
    }
}

/// Times as `T`: they are new with every run.
pub(crate) fn normal(value: Value) -> Value {
    match value {
        Value::Array(values) => values.into_iter().map(normal).collect(),
        Value::Object(fields) => {
            let field = |(name, value): (String, Value)| {
                let is_time = name.ends_with("At")
                    || matches!(name.as_str(), "at" | "until" | "since" | "leaseUntil");
                match value {
                    Value::String(_) if is_time => (name, "T".into()),
                    other => (name, normal(other)),
                }
            };
            Value::Object(fields.into_iter().map(field).collect())
        }
        other => other,
    }
}

impl TestEnv {
    /// Two orders that ended, one that waits, a dead letter, a gap and a cursor.
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("jobs.db").display());
        let config = StoreConfig::parse(&url).unwrap();
        let store = job_store::open(&config, Arc::new(SystemClock))
            .await
            .unwrap();
        let env = Self { store, folder };
        env.fill().await;
        env
    }

    async fn fill(&self) {
        let ports = &self.store.ports;
        let epoch = lead(&**ports, &channel(), "s", TTL).await;
        ports
            .record_cursor_loss(&channel(), epoch, &gap())
            .await
            .unwrap();
        let delivery = Delivery {
            cursor: ReplayId::new(vec![0, 255]),
            ..delivery(epoch, vec![Entry::DeadLetter(dead_letter("bad"))], 0)
        };
        ports.accept(&delivery).await.unwrap();
        let order = WhmcsOrderId(41);
        self.work(1, JobOutcome::Succeeded, &[Fact::Placed { order }])
            .await;
        let refusal = Refusal::new(Code::OrderEmpty, "no products");
        self.work(
            2,
            JobOutcome::Failed,
            &[Fact::Refused(refusal), Fact::Reported],
        )
        .await;
        self.store
            .ports
            .enqueue(&[new_job("e3", order_id(3), None)])
            .await
            .unwrap();
    }

    async fn work(&self, n: u32, outcome: JobOutcome, facts: &[Fact]) {
        let job = new_job(&format!("e{n}"), order_id(n), Some("k"));
        self.store.ports.enqueue(&[job]).await.unwrap();
        let claimed = self
            .store
            .ports
            .claim(&owner("w"), 1, TTL)
            .await
            .unwrap()
            .pop()
            .unwrap();
        let mut all = vec![Fact::Checked {
            job: claimed.job.id.clone(),
            idem_key: None,
            number: Some(format!("{n:08}")),
            account: AccountId::parse("001000000000001").ok(),
        }];
        if n == 1 {
            let client = domain::key::ClientId(7);
            let at = claimed.at;
            let watermark = WhmcsOrderId(0);
            all.extend([Fact::Client { client }, Fact::Placing { at, watermark }]);
        }
        all.extend_from_slice(facts);
        self.store
            .ports
            .finish(&claimed.lease, outcome, &all, &[])
            .await
            .unwrap();
        // Activity of the next order is newer.
        let before = claimed.at;
        while SystemClock.now() <= before + Duration::from_millis(5) {
            tokio::task::yield_now().await;
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("sqlite:{}", self.file("jobs.db").display())
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs a command on this store.
    pub(crate) async fn run(&self, words: &[&str]) -> Ran {
        let url = self.url();
        let words: Vec<_> = words
            .iter()
            .copied()
            .chain(["--database-url", &url])
            .collect();
        run(&words).await
    }

    pub(crate) async fn json(&self, words: &[&str]) -> Value {
        let words: Vec<_> = words.iter().copied().chain(["-o", "json"]).collect();
        self.run(&words).await.json()
    }

    /// Acts as Ada.
    pub(crate) async fn act(&self, words: &[&str]) -> Ran {
        let words: Vec<_> = words
            .iter()
            .copied()
            .chain(["--as", "ada", "--reason", "because", "-o", "json"])
            .collect();
        self.run(&words).await
    }
}
