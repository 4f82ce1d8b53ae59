//! The shared temporary cluster.

use std::fs::{self, File};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use url::Url;

use crate::{programs, watchdog};

/// Timeout for the start of a cluster.
const PATIENCE: Duration = Duration::from_secs(60);

/// Finds or starts the cluster, and keeps it running until this process ends.
///
/// # Panics
/// There is no PostgreSQL, or it does not start.
pub(crate) fn shared() -> Url {
    let all = common_folder();
    fs::create_dir_all(all.join("users")).expect("the temporary folder can be written to");
    // Only one process at a time searches and starts.
    let lock = File::create(all.join("lock")).expect("the temporary folder can be written to");
    lock.lock().expect("a file can be locked");
    let user = all.join("users").join(std::process::id().to_string());
    File::create(user).expect("the temporary folder can be written to");
    let running = Running::find(&all).unwrap_or_else(|| Running::start(&all));
    running.url()
}

/// One folder per user of the machine, since programs do not trust files of others.
fn common_folder() -> PathBuf {
    std::env::temp_dir().join(format!("orderbridge-test-postgres-{}", our_uid()))
}

fn our_uid() -> u32 {
    test_programs::our_uid().expect("the temporary folder can be written to")
}

/// A cluster as described in the file `ready`: port, server, watchdog, folder.
struct Running {
    port: u16,
    server: u32,
    watchdog: u32,
    folder: PathBuf,
}

impl Running {
    fn url(&self) -> Url {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
            .parse()
            .expect("it is a URL")
    }

    fn find(all: &Path) -> Option<Self> {
        let text = fs::read_to_string(all.join("ready")).ok()?;
        let mut lines = text.lines();
        let mut found = Self {
            port: lines.next()?.parse().ok()?,
            server: lines.next()?.parse().ok()?,
            watchdog: lines.next()?.parse().ok()?,
            folder: PathBuf::from(lines.next()?),
        };
        TcpStream::connect(("127.0.0.1", found.port)).ok()?;
        if !watchdog::is_alive(found.watchdog) {
            found.watch(all);
        }
        Some(found)
    }

    fn start(all: &Path) -> Self {
        let programs = programs::folder();
        let folder = all.join(uuid::Uuid::new_v4().simple().to_string());
        fs::create_dir_all(&folder).expect("the temporary folder can be written to");
        let account = Account::for_server(&folder);
        let data = folder.join("data");
        let log = folder.join("log");
        let made = account
            .command(&programs.join("initdb"))
            .args(["--auth=trust", "--username=postgres", "--encoding=UTF8"])
            .args(["--locale=C", "--no-sync", "--pgdata"])
            .arg(&data)
            .stdout(Stdio::null())
            .output()
            .expect("initdb can be run");
        assert!(
            made.status.success(),
            "initdb failed: {}",
            String::from_utf8_lossy(&made.stderr)
        );
        let port = TcpListener::bind(("127.0.0.1", 0))
            .and_then(|listener| listener.local_addr())
            .expect("the loopback has a free port")
            .port();
        let fsync = std::env::var("TEST_POSTGRES_FSYNC").unwrap_or_else(|_| "on".to_owned());
        let output = File::create(&log).expect("the cluster's folder can be written to");
        let server = account
            .command(&programs.join("postgres"))
            .arg("-D")
            .arg(&data)
            .args(["-p", &port.to_string(), "-k"])
            .arg(&folder)
            .args(["-c", "listen_addresses=127.0.0.1"])
            .args(["-c", "max_connections=400"])
            .args(["-c", &format!("fsync={fsync}")])
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(output)
            .spawn()
            .expect("postgres can be run");
        let server = watchdog::reaped(server);
        let mut running = Self {
            port,
            server,
            watchdog: 0,
            folder,
        };
        running.watch(all);
        running.wait(&programs, &log);
        running
    }

    /// Starts the watchdog that ends the cluster after its last user, and publishes the cluster.
    fn watch(&mut self, all: &Path) {
        self.watchdog =
            watchdog::start(all, &self.folder, self.server).expect("a shell can be run");
        let Self {
            port,
            server,
            watchdog,
            folder,
        } = self;
        let ready = format!("{port}\n{server}\n{watchdog}\n{}\n", folder.display());
        let draft = folder.join("draft");
        fs::write(&draft, ready)
            .and_then(|()| fs::rename(&draft, all.join("ready")))
            .expect("the cluster's folder can be written to");
    }

    fn wait(&self, programs: &Path, log: &Path) {
        let deadline = Instant::now() + PATIENCE;
        let port = self.port.to_string();
        loop {
            let answers = Command::new(programs.join("pg_isready"))
                .args(["-q", "-h", "127.0.0.1", "-p", &port])
                .status()
                .is_ok_and(|status| status.success());
            if answers {
                return;
            }
            assert!(
                Instant::now() < deadline && watchdog::is_alive(self.server),
                "PostgreSQL did not start:\n{}",
                fs::read_to_string(log).unwrap_or_default()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// The account of the server, which refuses to run as root.
struct Account(Option<(u32, u32)>);

impl Account {
    /// Selects the account and makes it the owner of the folder.
    fn for_server(folder: &Path) -> Self {
        if !test_programs::is_root() {
            return Self(None);
        }
        let (uid, gid) = ["postgres", "nobody"]
            .into_iter()
            .find_map(ids)
            .expect("root needs an account `postgres` or `nobody` to run PostgreSQL under");
        chown(folder, Some(uid), Some(gid)).expect("root may change a folder owner");
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700))
            .expect("root may change a folder's mode");
        Self(Some((uid, gid)))
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        // A clean environment: `PG…` variables must not reach the server.
        command.env_clear().env("LC_ALL", "C").current_dir("/");
        if let Some((uid, gid)) = self.0 {
            command.uid(uid).gid(gid);
        }
        command
    }
}

/// User and group ids of an account.
fn ids(account: &str) -> Option<(u32, u32)> {
    let passwd = fs::read_to_string("/etc/passwd").ok()?;
    let line = passwd
        .lines()
        .find(|line| line.split(':').next() == Some(account))?;
    let mut fields = line.split(':').skip(2);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}
