//! Provisioning modules: scripted, slow if told so, and without any lock.
use std::time::Duration;

use super::{
    books::{Mail, ModuleScript, QueueEntry},
    install::{Context, Install},
};
use crate::lock;

/// What became of a create call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Created {
    Done,
    NoModule,
    Failed(String),
    /// PHP died on the way: nothing that follows in this call happens.
    Died,
}

/// What a call that died leaves in the log; its client gets a page.
pub(crate) const DIED: &str = "PHP died in the module";

/// Runs the module of a service. Two calls at once make two remote accounts.
pub(crate) async fn create(
    install: &Install,
    context: &Context,
    service: u64,
    mail: bool,
) -> Created {
    let module = {
        let books = lock(&install.books);
        let product = books
            .services
            .get(&service)
            .and_then(|row| books.products.get(&row.pid));
        // A product without module has none that could be another for this call.
        product
            .map(|product| product.module.clone())
            .filter(|module| module.script != ModuleScript::None)
            .map(|module| module.struck_by(context.module.as_ref()))
    };
    let Some(module) = module.filter(|module| module.script != ModuleScript::None) else {
        return Created::NoModule;
    };
    if module.delay_ms > 0 {
        tokio::time::sleep(Duration::from_millis(module.delay_ms)).await;
    }
    let now = install.now(&context.knobs);
    let mut books = lock(&install.books);
    let Some(pid) = books.services.get(&service).map(|row| row.pid) else {
        return Created::Failed("Service ID not found".to_owned());
    };
    let existing = books.remote.get(&service).copied().unwrap_or(0);
    let built = existing > 0 && module.idempotent;
    let failure = match &module.script {
        _ if built => None,
        ModuleScript::None | ModuleScript::Ok => {
            *books.remote.entry(service).or_default() += 1;
            None
        }
        ModuleScript::Fail { text, times } => {
            let spent = books.failures.entry(pid).or_default();
            if times.is_some_and(|times| *spent >= times) {
                *books.remote.entry(service).or_default() += 1;
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
            *books.remote.entry(service).or_default() += 1;
            Some(text.clone())
        }
        ModuleScript::CreateThenDie => {
            *books.remote.entry(service).or_default() += 1;
            return Created::Died;
        }
        ModuleScript::AlreadyExists => {
            Some("409 already_exists: the account exists already".to_owned())
        }
    };
    match failure {
        None => {
            if let Some(row) = books.services.get_mut(&service) {
                "Active".clone_into(&mut row.status);
            }
            for entry in books
                .queue
                .iter_mut()
                .filter(|entry| entry.service == service)
            {
                entry.completed = true;
            }
            if mail {
                books.mails.push(Mail {
                    kind: "welcome".to_owned(),
                    about: service,
                });
            }
            Created::Done
        }
        Some(text) => {
            let open = books
                .queue
                .iter_mut()
                .find(|entry| entry.service == service && !entry.completed);
            if let Some(entry) = open {
                entry.retries += 1;
                entry.error.clone_from(&text);
                entry.at = now;
            } else {
                let id = books.next_id("queue");
                books.queue.push(QueueEntry {
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

/// Staff set a service up on the remote system by hand and mark it active in WHMCS.
pub(crate) fn build_by_hand(install: &Install, service: u64) {
    let mut books = lock(&install.books);
    let Some(row) = books.services.get_mut(&service) else {
        return;
    };
    "Active".clone_into(&mut row.status);
    *books.remote.entry(service).or_default() += 1;
}
