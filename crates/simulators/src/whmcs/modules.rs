//! Provisioning modules: scripted, optionally slow, and without locking.
use std::time::Duration;

use super::{
    install::{Context, Install},
    tables::{Mail, ModuleScript, QueueEntry},
};
use crate::lock;

/// Result of a create call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Created {
    Done,
    NoModule,
    Failed(String),
    /// PHP died: the rest of the call does not happen.
    Died,
}

/// Logged outcome of a call that died; its client gets an HTML page.
pub(crate) const DIED: &str = "PHP died in the module";

/// Runs the module of a service. Concurrent calls create two remote accounts.
pub(crate) async fn create(
    install: &Install,
    context: &Context,
    service: u64,
    mail: bool,
) -> Created {
    let module = {
        let tables = lock(&install.tables);
        let product = tables
            .services
            .get(&service)
            .and_then(|row| tables.products.get(&row.pid));
        // A product without a module ignores a replacement.
        product
            .map(|product| product.module.clone())
            .filter(|module| module.script != ModuleScript::None)
            .map(|module| module.with_fault(context.module.as_ref()))
    };
    let Some(module) = module.filter(|module| module.script != ModuleScript::None) else {
        return Created::NoModule;
    };
    if module.delay_ms > 0 {
        tokio::time::sleep(Duration::from_millis(module.delay_ms)).await;
    }
    let now = install.now(&context.runtime);
    let mut tables = lock(&install.tables);
    let Some(pid) = tables.services.get(&service).map(|row| row.pid) else {
        return Created::Failed("Service ID not found".to_owned());
    };
    let existing = tables.remote.get(&service).copied().unwrap_or(0);
    let built = existing > 0 && module.idempotent;
    let failure = match &module.script {
        _ if built => None,
        ModuleScript::None | ModuleScript::Ok => {
            *tables.remote.entry(service).or_default() += 1;
            None
        }
        ModuleScript::Fail { text, times } => {
            let spent = tables.failures.entry(pid).or_default();
            if times.is_some_and(|times| *spent >= times) {
                *tables.remote.entry(service).or_default() += 1;
                None
            } else {
                *spent += 1;
                Some(text.clone())
            }
        }
        ModuleScript::CreateThenFail { .. } if existing > 0 => {
            Some("Already provisioned".to_owned())
        }
        ModuleScript::CreateThenFail { text } => {
            *tables.remote.entry(service).or_default() += 1;
            Some(text.clone())
        }
        ModuleScript::CreateThenDie => {
            *tables.remote.entry(service).or_default() += 1;
            return Created::Died;
        }
        ModuleScript::AlreadyExists => {
            Some("409 already_exists: the account exists already".to_owned())
        }
    };
    match failure {
        None => {
            if let Some(row) = tables.services.get_mut(&service) {
                "Active".clone_into(&mut row.status);
            }
            for entry in tables
                .queue
                .iter_mut()
                .filter(|entry| entry.service == service)
            {
                entry.completed = true;
            }
            if mail {
                tables.mails.push(Mail {
                    kind: "welcome".to_owned(),
                    about: service,
                });
            }
            Created::Done
        }
        Some(text) => {
            let open = tables
                .queue
                .iter_mut()
                .find(|entry| entry.service == service && !entry.completed);
            if let Some(entry) = open {
                entry.retries += 1;
                entry.error.clone_from(&text);
                entry.at = now;
            } else {
                let id = tables.next_id("queue");
                tables.queue.push(QueueEntry {
                    id,
                    service,
                    error: text.clone(),
                    at: now,
                    retries: 0,
                    completed: false,
                });
            }
            Created::Failed(text)
        }
    }
}

/// Creates a service on the remote system by hand and marks it active in WHMCS.
pub(crate) fn build_by_hand(install: &Install, service: u64) {
    let mut tables = lock(&install.tables);
    let Some(row) = tables.services.get_mut(&service) else {
        return;
    };
    "Active".clone_into(&mut row.status);
    *tables.remote.entry(service).or_default() += 1;
}
