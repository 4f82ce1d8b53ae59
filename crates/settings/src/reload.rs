//! Settings that are read again while the program runs.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::SystemTime;

use crate::{Problem, Secret, SecretArg, SecretSetting};

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
type ReadFile = fn(&Path) -> Result<Secret, Problem>;

/// A secret setting whose file can be read again. Clones share the value.
#[derive(Clone)]
pub struct ReloadableSecret {
    file: Option<(ReadFile, PathBuf)>,
    check: Check,
    value: Arc<RwLock<Secret>>,
}

impl fmt::Debug for ReloadableSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReloadableSecret")
            .field("file", &self.file.as_ref().map(|(_, path)| path))
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
        let Some((read, path)) = &self.file else {
            return Ok(());
        };
        let secret = read(path)?;
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

impl<S: SecretSetting> SecretArg<S> {
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
        let name = match self.path() {
            Some(_) => Self::file_name(),
            None => S::NAME.to_owned(),
        };
        let check: Check = Arc::new(move |secret| {
            check(secret).map_err(|what| Problem::new(name.clone(), what, fix))
        });
        let Some(secret) = self.read()? else {
            return Ok(None);
        };
        check(&secret)?;
        let file = self.path().map(Path::to_owned);
        Ok(Some(ReloadableSecret {
            file: file.map(|path| (Self::read_file as ReadFile, path)),
            check,
            value: Arc::new(RwLock::new(secret)),
        }))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    crate::secret_setting! {
        /// Token of this test
        Token = "A_TOKEN"
    }

    #[derive(clap::Parser)]
    struct Program {
        #[command(flatten)]
        token: SecretArg<Token>,
    }

    fn secret(file: &Path) -> Result<Option<ReloadableSecret>, Problem> {
        let flags = ["x", "--a-token-file", file.to_str().unwrap()];
        let args = Program::parse_from(flags).token;
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
