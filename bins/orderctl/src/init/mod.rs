//! `orderctl init`: key, certificate, environment file, and the steps that only a person can do.

mod env_file;
mod key;
mod prompt;
mod sandbox;
mod steps;

use std::path::{Path, PathBuf};

use settings::Rejected;

use crate::cli::{ConnectionArgs, Init};
use crate::screen::{Exit, Screen, Stop};
use crate::{connect, doctor};
use env_file::Settings;
use key::Key;

const KEY: &str = "SF_PRIVATE_KEY";
const KEY_FILE: &str = "SF_PRIVATE_KEY_FILE";

pub(crate) async fn run(asked: Init, screen: &mut Screen) -> Result<Exit, Stop> {
    let files = Files::of(&asked)?;
    files.ensure_free(asked.force)?;
    let mut settings = Settings::new(asked.settings.0);
    let key = match (&asked.sandbox, files.key.is_some()) {
        (Some(control), _) => Key::of_sandbox(sandbox::read(control, &mut settings).await?),
        (None, given_key) => {
            prompt::complete(&mut settings, screen)?;
            match given_key {
                true => Some(Key::generate()?),
                false => None,
            }
        }
    };
    prompt::default_store(&mut settings);
    // Everything is checked before the first file is written.
    let known = key.as_ref().map(|key| (KEY, key.pem()));
    let config = parse(settings.iter().chain(known))?;
    let mut problems = settings::Problems::new();
    let config = config.systems.check(&mut problems);
    let config = problems.into_result(config)?;

    if let Some(path) = &files.key {
        settings.set(KEY_FILE, path.display().to_string());
    }
    let mut text = settings.render()?;
    if asked.sandbox.is_some() {
        text.push_str(
            "# An order that is approved before the subscriber starts is found at once.\n",
        );
        text.push_str("SF_EVENTS_REPLAY=ALL\n");
    }

    if let (Some(key), Some(path)) = (&key, &files.key) {
        write(path, key.pem(), asked.force)?;
        screen.note(&format!("wrote the private key to {}", path.display()));
        if let (Some(certificate), Some(path)) = (key.certificate(), &files.certificate) {
            write(path, certificate, asked.force)?;
            screen.note(&format!("wrote the certificate to {}", path.display()));
        }
    }
    write(&files.env, &text, asked.force)?;
    screen.note(&format!("wrote the settings to {}", files.env.display()));

    let connections = parse(settings.iter())?;
    if let Ok(config) = connect::store_config(&connections.store) {
        // The doctor says what is wrong with a store that cannot be created.
        let _ = connect::open(&config).await;
    }
    if asked.sandbox.is_none() {
        for line in steps::by_hand(&config, files.certificate.as_deref()) {
            screen.note(&line);
        }
    }
    screen.note(&steps::next(&files.env));
    doctor::check(&connections, None, screen).await
}

/// The files to write, with absolute paths: the programs may run elsewhere.
struct Files {
    env: PathBuf,
    /// `None` when a key exists already.
    key: Option<PathBuf>,
    /// `None` for a key that is not made here.
    certificate: Option<PathBuf>,
}

impl Files {
    fn of(asked: &Init) -> Result<Self, Stop> {
        let given = |name: &str| asked.settings.0.iter().any(|(other, _)| other == name);
        if given(KEY) {
            return Err(Stop::Usage(format!(
                "{KEY} is set, and the environment file holds no private key. Unset it, or write the key to a file and set {KEY_FILE}"
            )));
        }
        let env = std::path::absolute(&asked.env_file)?;
        let beside = |path: &Option<PathBuf>, name: &str| match path {
            Some(path) => std::path::absolute(path),
            None => Ok(env.with_file_name(name)),
        };
        let is_sandbox = asked.sandbox.is_some();
        let key = match !is_sandbox && given(KEY_FILE) {
            true => None,
            false => Some(beside(&asked.key_file, "salesforce.key.pem")?),
        };
        let certificate = match is_sandbox || key.is_none() {
            true => None,
            false => Some(beside(&asked.certificate, "salesforce.crt")?),
        };
        let files = Self {
            env,
            key,
            certificate,
        };
        let mut all: Vec<_> = files.iter().collect();
        all.sort_unstable();
        if let Some(pair) = all.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(Stop::Usage(format!(
                "`{}` is given for two files. Give each its own with --env-file, --key-file and --certificate",
                pair[0].display()
            )));
        }
        Ok(files)
    }

    fn iter(&self) -> impl Iterator<Item = &Path> {
        let others = [self.key.as_deref(), self.certificate.as_deref()];
        std::iter::once(self.env.as_path()).chain(others.into_iter().flatten())
    }

    fn ensure_free(&self, force: bool) -> Result<(), Stop> {
        // A dangling link counts as a file too.
        let taken = self.iter().find(|path| path.symlink_metadata().is_ok());
        match taken.filter(|_| !force) {
            None => Ok(()),
            Some(path) => Err(exists(path)),
        }
    }
}

fn exists(path: &Path) -> Stop {
    Stop::failed(format!(
        "`{}` exists already. Give another file, or --force to replace it",
        path.display()
    ))
}

/// Writes a file that only its owner may read. A reader sees the old file or the whole new one.
fn write(path: &Path, text: &str, replace: bool) -> Result<(), Stop> {
    use std::io::Write;
    let failed = |error: std::io::Error| {
        Stop::failed(format!("`{}` cannot be written: {error}", path.display()))
    };
    let folder = path.parent().unwrap_or(Path::new("/"));
    std::fs::create_dir_all(folder).map_err(failed)?;
    // Temporary files have mode 0600 from the start.
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)?;
    file.as_file().sync_all().map_err(failed)?;
    let kept = match replace {
        true => file.persist(path),
        false => file.persist_noclobber(path),
    };
    match kept {
        Ok(_) => Ok(()),
        Err(error) if error.error.kind() == std::io::ErrorKind::AlreadyExists => Err(exists(path)),
        Err(error) => Err(failed(error.error)),
    }
}

fn parse<'a>(settings: impl Iterator<Item = (&'a str, &'a str)>) -> Result<ConnectionArgs, Stop> {
    match settings::given(settings) {
        Ok(given) => Ok(given.args),
        Err(Rejected::Config(problems)) => Err(problems.into()),
        Err(Rejected::Usage(error)) => Err(Stop::Usage(error.to_string())),
    }
}
