//! A store written by an earlier release opens unchanged: stored names are a contract.
//!
//! The fixture is the SQL dump of a store that the programs of 2026-11-24 wrote: 25 orders in the
//! demo, of which 13 were kept, then a few operator commands.

use std::str::FromStr;
use std::sync::Arc;

use domain::order::{OrderState, Phase};
use job_store::SqliteStore;
use operations::{AdminCommands, AlertStore, EventViews, OrderQuery, OrderViews, Pausable};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};
use testkit::FakeClock;

const STORE: &str = include_str!("../fixtures/store-of-2026-11-24.sql");

#[tokio::test]
async fn store_of_an_earlier_release_opens_and_every_row_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let options = SqliteConnectOptions::from_str(path.to_str().unwrap())
        .unwrap()
        .create_if_missing(true);
    let mut connection = options.connect().await.unwrap();
    sqlx::raw_sql(STORE).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();

    let store = SqliteStore::open(&path, Arc::new(FakeClock::default()))
        .await
        .unwrap();
    let query = OrderQuery {
        limit: 100,
        ..OrderQuery::default()
    };
    let orders = store.orders(&query).await.unwrap();
    assert_eq!(orders.len(), 13);
    let acknowledged: Vec<_> = orders
        .iter()
        .filter_map(|row| row.handled.as_ref())
        .collect();
    assert_eq!(acknowledged.len(), 1);
    assert_eq!(acknowledged[0].who, "ada");
    let mut kinds = std::collections::BTreeSet::new();
    for row in &orders {
        let facts = store.facts_of(row.order).await.unwrap();
        kinds.extend(facts.iter().map(|recorded| recorded.fact.name()));
        let state = OrderState::replay(facts.iter().map(|recorded| &recorded.fact)).unwrap();
        assert_eq!(state.phase, Phase::Reported, "{}", row.order);
        assert!(!store.jobs_of(row.order).await.unwrap().is_empty());
        assert!(!store.calls_of(row.order).await.unwrap().is_empty());
    }
    assert!(kinds.len() >= 15, "{kinds:?}");
    let audit = store.audit(10).await.unwrap();
    let commands: Vec<_> = audit.iter().map(|entry| entry.act.as_str()).collect();
    assert_eq!(
        commands,
        ["reset_cursor", "pause", "resume", "pause", "handle"]
    );
    let pauses = store.pauses().await.unwrap();
    assert!(matches!(&pauses[0].what, Pausable::Intake(channel) if
        store.cursor_history(channel, 10).await.unwrap().len() >= 3));
    assert_eq!(store.alerts().await.unwrap().len(), 1);
}
