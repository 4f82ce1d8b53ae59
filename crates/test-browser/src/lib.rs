//! A real browser for tests, never silently skipped: an installed Chromium or Chrome with its
//! `chromedriver`, else one installed with the system's package manager if permitted, else a
//! panic that says what to install.
//!
//! Connects to the local machine only.
#![expect(clippy::expect_used, reason = "a test needs its browser")]

use std::io::{BufRead, BufReader};
use std::mem::ManuallyDrop;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;
use thirtyfour::{By, ChromiumLikeCapabilities, DesiredCapabilities, WebDriver};

/// Timeout for the expected content of a page.
const PATIENCE: Duration = Duration::from_secs(60);
/// Folders of browsers that are not on `PATH`.
const FOLDERS: [&str; 4] = [
    "/usr/bin",
    "/usr/lib/chromium",
    "/snap/bin",
    "/Applications/Google Chrome.app/Contents/MacOS",
];

/// A browser with one page and its own profile. Missing content or a lost browser panics.
/// Dropping it ends the browser.
#[derive(Debug)]
pub struct Browser {
    // Leaked because dropping it would block; the process ends the session.
    driver: ManuallyDrop<WebDriver>,
    _process: Driver,
    _profile: TempDir,
}

impl Browser {
    /// Starts a browser.
    ///
    /// # Panics
    /// No browser is available; the message says what to install.
    pub async fn open() -> Self {
        let (browser, driver) = tokio::task::spawn_blocking(programs)
            .await
            .expect("no browser for the tests; see above");
        let process = Driver::start(&driver);
        let profile = TempDir::new().expect("the temporary folder can be written to");
        let mut wanted = DesiredCapabilities::chrome();
        wanted
            .set_binary(&browser.to_string_lossy())
            .expect("a path is JSON");
        let profile_flag = format!("--user-data-dir={}", profile.path().display());
        let mut flags = vec![
            "--headless=new",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-background-networking",
            "--disable-component-update",
            "--hide-scrollbars",
            "--force-color-profile=srgb",
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
            &profile_flag,
        ];
        if test_programs::is_root() {
            flags.push("--no-sandbox");
        }
        for flag in flags {
            wanted.add_arg(flag).expect("a flag is JSON");
        }
        let address = format!("http://127.0.0.1:{}", process.port);
        let driver = WebDriver::new(&address, wanted)
            .await
            .expect("chromedriver starts the browser");
        driver
            .set_script_timeout(PATIENCE)
            .await
            .expect("chromedriver takes a timeout");
        Self {
            driver: ManuallyDrop::new(driver),
            _process: process,
            _profile: profile,
        }
    }

    /// Sets the page size, in CSS pixels.
    pub async fn size(&self, width: u32, height: u32) {
        let metrics = json!({
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false,
        });
        let cdp = self.driver.cdp();
        cdp.send_raw("Emulation.setDeviceMetricsOverride", metrics)
            .await
            .expect("the browser takes a size");
    }

    /// Opens a URL.
    pub async fn go(&self, url: &str) {
        self.driver.goto(url).await.expect("the page opens");
    }

    /// Waits until an element matching the selector contains the text, on the current page: a
    /// reload fails.
    pub async fn wait_for_text(&self, selector: &str, text: &str) {
        // Observes changes instead of polling.
        let script = r"
            const [selector, text, done] = arguments;
            const shown = () => [...document.querySelectorAll(selector)]
                .some((element) => element.textContent.includes(text));
            if (shown()) { done(true); return; }
            const watch = new MutationObserver(() => {
                if (shown()) { watch.disconnect(); done(true); }
            });
            watch.observe(document, {subtree: true, childList: true, characterData: true, attributes: true});
        ";
        let arguments = vec![json!(selector), json!(text)];
        let shown = self.driver.execute_async(script, arguments).await;
        if let Err(error) = shown {
            let page = self.driver.source().await.unwrap_or_default();
            panic!("{selector} never showed {text:?}: {error}\n{page}");
        }
    }

    /// Clicks the first matching element.
    pub async fn click(&self, selector: &str) {
        let element = self.driver.find(By::Css(selector)).await;
        let element = element.unwrap_or_else(|error| panic!("no {selector}: {error}"));
        let clicked = element.click().await;
        clicked.unwrap_or_else(|error| panic!("{selector} cannot be clicked: {error}"));
    }

    /// Types into the matching field.
    pub async fn fill(&self, selector: &str, text: &str) {
        let element = self.driver.find(By::Css(selector)).await;
        let element = element.unwrap_or_else(|error| panic!("no {selector}: {error}"));
        let typed = element.send_keys(text).await;
        typed.unwrap_or_else(|error| panic!("{selector} takes no text: {error}"));
    }

    /// Runs a script in the page and returns its result.
    pub async fn eval(&self, script: &str) -> Value {
        let answer = self.driver.execute(script, Vec::<Value>::new()).await;
        answer.expect("the script runs").json().clone()
    }

    /// Runs a script and returns what it passes to its last argument, a callback.
    pub async fn eval_async(&self, script: &str, arguments: Vec<Value>) -> Value {
        let answer = self.driver.execute_async(script, arguments).await;
        answer.expect("the script runs").json().clone()
    }

    /// Saves a screenshot of the whole page as PNG.
    pub async fn screenshot(&self, path: &Path) {
        let options = json!({"format": "png", "captureBeyondViewport": true});
        let cdp = self.driver.cdp();
        let taken = cdp.send_raw("Page.captureScreenshot", options).await;
        let taken = taken.expect("the browser takes screenshots");
        let png = taken["data"].as_str().expect("screenshot data is text");
        let png = BASE64_STANDARD
            .decode(png)
            .expect("screenshot data is base64");
        std::fs::write(path, png).expect("the screenshot can be written");
    }
}

/// The paths of `chromium` and `chromedriver`.
fn programs() -> (PathBuf, PathBuf) {
    find().unwrap_or_else(|| {
        test_programs::install(&["chromium", "chromium-driver", "fonts-dejavu-core"]);
        find().unwrap_or_else(|| {
            panic!(
                "Chromium or Chrome with its chromedriver is needed for the tests and was not \
                 found. Install them (Debian, Ubuntu: apt-get install chromium chromium-driver; \
                 Fedora: dnf install chromium chromedriver; macOS: brew install --cask \
                 google-chrome chromedriver)"
            )
        })
    })
}

fn find() -> Option<(PathBuf, PathBuf)> {
    let names = [
        "chromium",
        "chromium-browser",
        "google-chrome",
        "Google Chrome",
    ];
    let browser = names
        .iter()
        .find_map(|name| test_programs::find(name, &FOLDERS))?;
    Some((browser, test_programs::find("chromedriver", &FOLDERS)?))
}

/// A running `chromedriver`, which ends its browser too.
#[derive(Debug)]
struct Driver {
    process: Child,
    port: u16,
}

impl Driver {
    fn start(program: &Path) -> Self {
        let mut process = Command::new(program)
            .arg("--port=0")
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver can be run");
        let output = process.stdout.take().expect("stdout is piped");
        let mut lines = BufReader::new(output).lines().map_while(Result::ok);
        let port = lines
            .find_map(|line| {
                let (_, port) = line.split_once("started successfully on port ")?;
                port.trim_end_matches('.').parse().ok()
            })
            .expect("chromedriver prints its port");
        // Drains the pipe so that it never blocks.
        std::thread::spawn(move || lines.for_each(drop));
        Self { process, port }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // The whole group, so that no browser outlives a failed test.
        let group = format!("-{}", self.process.id());
        let _ = Command::new("kill").args(["-TERM", "--", &group]).status();
        let _ = self.process.wait();
    }
}
