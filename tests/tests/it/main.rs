//! End-to-end tests of the real programs.
#![expect(clippy::unwrap_used, reason = "a failing step fails its test")]

/// Declares tests that run on both stores: `name::on_sqlite` and `name::on_postgres` call the
/// function behind the colon with the store, and with the arguments that it names.
macro_rules! on_both_stores {
    ($($name:ident: $test:ident($($argument:expr),*);)*) => {$(
        mod $name {
            use super::*;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_sqlite() {
                $test(Engine::Sqlite, $($argument),*).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_postgres() {
                $test(Engine::Postgres, $($argument),*).await;
            }
        }
    )*};
}

mod adopt;
mod alerts;
mod browser;
mod crash;
mod ctl;
mod currency;
mod degradation;
mod deploy;
mod doctor;
mod egress;
mod failover;
mod failures;
mod flags;
mod init;
mod intake;
mod layers;
mod metadata;
mod metrics;
mod monitoring;
mod outcomes;
mod portal;
mod process;
mod provisioning;
mod proxy;
mod round_trips;
mod secrets;
mod security;
mod settings;
mod signals;
mod stalls;
mod test_env;
mod traces;
mod two_step;
