//! Settings that are read again while the program runs.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::SystemTime;

use crate::{Problem, Secret, SecretArgs};

type Handler = Arc<dyn Fn() -> Result<(), Problem> + Send + Sync>;

/// What a program reads again when it is asked to. Clones share the list.
#[derive(Clone, Default)]
pub struct Reload(Arc<Mutex<Vec<Handler>>>);

impl Reload {
    /// Adds a handler. Handlers run in the order in which they were added.
    pub fn add(&self, handler: impl Fn() -> Result<(), Problem> + Send + Sync + 'static) {
        self.lock().push(Arc::new(handler));
    }

    /// Adds a secret.
    pub fn add_secret(&self, secret: &ReloadableSecret) {
        let secret = secret.clone();
        self.add(move || secret.reload());
    }

    /// Reads everything again and returns what could not be used; its old value stays. Reads
    /// files, so that it may block.
    #[must_use]
    pub fn run(&self) -> Vec<Problem> {
        let handlers = self.lock().clone();
        let failed = handlers.iter().filter_map(|handler| handler().err());
        failed.collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Handler>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

type Check = Arc<dyn Fn(&Secret) -> Result<(), Problem> + Send + Sync>;

/// A secret setting whose file can be read again. Clones share the value.
#[derive(Clone)]
pub struct ReloadableSecret {
    file: Option<(&'static str, PathBuf)>,
    check: Check,
    value: Arc<RwLock<Secret>>,
}

impl fmt::Debug for ReloadableSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReloadableSecret")
            .field("file", &self.file)
            .finish_non_exhaustive()
    }
}

impl From<Secret> for ReloadableSecret {
    /// A secret without a file.
    fn from(secret: Secret) -> Self {
        Self {
            file: None,
            check: Arc::new(|_| Ok(())),
            value: Arc::new(RwLock::new(secret)),
        }
    }
}

impl ReloadableSecret {
    /// The present value.
    #[must_use]
    pub fn current(&self) -> Secret {
        let value = self.value.read().unwrap_or_else(PoisonError::into_inner);
        value.clone()
    }

    /// Reads the file again, if the secret has one.
    ///
    /// # Errors
    /// The file cannot be read, or its content cannot be used: the old value stays.
    pub fn reload(&self) -> Result<(), Problem> {
        self.reload_if(|_| Ok(()))
    }

    /// As [`reload`](Self::reload), if `accept` finds no problem with the new value.
    ///
    /// # Errors
    /// As [`reload`](Self::reload), or the problem that `accept` found.
    pub fn reload_if(
        &self,
        accept: impl FnOnce(&Secret) -> Result<(), Problem>,
    ) -> Result<(), Problem> {
        let Some((name, path)) = &self.file else {
            return Ok(());
        };
        let secret = SecretArgs::read_file(name, path)?;
        (self.check)(&secret)?;
        accept(&secret)?;
        *self.value.write().unwrap_or_else(PoisonError::into_inner) = secret;
        Ok(())
    }

    /// When the file was last modified.
    #[must_use]
    pub fn changed_at(&self) -> Option<SystemTime> {
        let (_, path) = self.file.as_ref()?;
        std::fs::metadata(path)
            .and_then(|data| data.modified())
            .ok()
    }
}

impl SecretArgs<'_> {
    /// Reads the secret and checks it; `None` when it is not set. `check` says what is wrong with
    /// a value, `fix` how to make a valid one.
    ///
    /// # Errors
    /// The secret cannot be read or used.
    pub fn reloadable(
        &self,
        fix: &'static str,
        check: impl Fn(&Secret) -> Result<(), String> + Send + Sync + 'static,
    ) -> Result<Option<ReloadableSecret>, Problem> {
        let file = self.path().map(|path| (self.file_name, path));
        let name = file.as_ref().map_or(self.name, |(name, _)| name);
        let check: Check = Arc::new(move |secret| {
            check(secret).map_err(|what| Problem {
                name,
                what,
                fix: fix.to_owned(),
            })
        });
        let Some(secret) = self.read()? else {
            return Ok(None);
        };
        check(&secret)?;
        Ok(Some(ReloadableSecret {
            file,
            check,
            value: Arc::new(RwLock::new(secret)),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(file: &std::path::Path) -> Result<Option<ReloadableSecret>, Problem> {
        let args = SecretArgs {
            name: "A_TOKEN",
            file_name: "A_TOKEN_FILE",
            value: None,
            file: file.to_str(),
        };
        args.reloadable("Make a longer one", |secret| {
            match secret.expose().len() < 8 {
                true => Err("it is shorter than 8 characters".to_owned()),
                false => Ok(()),
            }
        })
    }

    #[test]
    fn unusable_file_keeps_the_old_value_and_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        std::fs::write(&file, "first-token\n").unwrap();
        let secret = secret(&file).unwrap().unwrap();
        let reload = Reload::default();
        reload.add_secret(&secret);

        std::fs::write(&file, "second-token\n").unwrap();
        assert_eq!(secret.current().expose(), "first-token", "nobody asked yet");
        assert_eq!(reload.run(), []);
        assert_eq!(secret.current().expose(), "second-token");

        for (content, words) in [
            (Some("short"), "shorter"),
            (Some(" "), "empty"),
            (None, "cannot be read"),
        ] {
            match content {
                Some(content) => std::fs::write(&file, content).unwrap(),
                None => std::fs::remove_file(&file).unwrap(),
            }
            let problems = reload.run();
            let [problem] = problems.as_slice() else {
                panic!("{content:?}: {problems:?}");
            };
            assert_eq!(problem.name, "A_TOKEN_FILE");
            assert!(problem.what.contains(words), "{problem}");
            assert_eq!(secret.current().expose(), "second-token");
        }
    }

    #[test]
    fn secret_that_was_given_directly_stays() {
        let secret = ReloadableSecret::from(Secret::new("hunter2"));
        assert_eq!(secret.reload(), Ok(()));
        assert_eq!(secret.current().expose(), "hunter2");
        assert!(!format!("{secret:?}").contains("hunter2"));
    }
}
