//! A real browser: Debian's Chromium, driven through its WebDriver.
//!
//! The few commands that the tests need are sent by the HTTP client that they use anyway.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    path::PathBuf,
    time::Duration,
};

use serde_json::{Value, json};

use super::{PATIENCE, eventually, free_port, process::Process, source::root};

/// How long one command may take.
const COMMAND: Duration = Duration::from_secs(60);

/// Nothing of its own goes to the network, and no name is found but this machine's.
const FLAGS: &[&str] = &[
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-domain-reliability",
    "--disable-extensions",
    "--disable-sync",
    "--disable-breakpad",
    "--disable-client-side-phishing-detection",
    "--disable-features=OptimizationHints,MediaRouter,Translate,AutofillServerCommunication,CertificateTransparencyComponentUpdater",
    "--metrics-recording-only",
    "--no-default-browser-check",
    "--no-first-run",
    "--no-pings",
    "--no-proxy-server",
    "--password-store=basic",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
];

/// A browser with one window.
pub(crate) struct Browser {
    client: reqwest::Client,
    session: String,
    _driver: Process,
}

impl Browser {
    /// Opens a window of so many pixels, in the dark scheme if that is wanted.
    pub(crate) async fn open(width: u32, height: u32, is_dark: bool) -> Self {
        let port = free_port();
        let mut driver = Process::start("chromedriver", |command, folder| {
            command
                .arg(format!("--port={port}"))
                .env("HOME", folder)
                .env("TMPDIR", folder)
                .env("XDG_CONFIG_HOME", folder)
                .env("XDG_CACHE_HOME", folder);
        });
        driver
            .answers(&format!("http://127.0.0.1:{port}/status"))
            .await;
        let client = reqwest::Client::builder().no_proxy().timeout(COMMAND);
        let mut browser = Self {
            client: client.build().unwrap(),
            session: format!("http://127.0.0.1:{port}/session"),
            _driver: driver,
        };
        let mut flags: Vec<_> = FLAGS.iter().map(|flag| json!(flag)).collect();
        flags.push(json!(format!("--window-size={width},{height}")));
        if is_dark {
            flags.push(json!("--force-dark-mode"));
        }
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": {"args": flags},
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
        }}});
        let opened = browser.post("", wanted).await;
        let id = opened["sessionId"].as_str().unwrap().to_owned();
        browser.session = format!("{}/{id}", browser.session);
        // A window has a frame, and small ones are not given: the page is what is to be measured.
        let metrics = json!({"cmd": "Emulation.setDeviceMetricsOverride", "params":
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false}});
        browser.post("/goog/cdp/execute", metrics).await;
        let scheme = if is_dark { "dark" } else { "light" };
        // What moves has no contrast to be measured.
        let scheme = json!({"cmd": "Emulation.setEmulatedMedia", "params": {"features": [
            {"name": "prefers-color-scheme", "value": scheme},
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]}});
        browser.post("/goog/cdp/execute", scheme).await;
        browser
    }

    /// Goes to a page and waits until it is loaded.
    pub(crate) async fn go(&self, url: &str) {
        self.post("/url", json!({ "url": url })).await;
    }

    /// What a script gives in the page.
    pub(crate) async fn run(&self, script: &str) -> Value {
        self.post("/execute/sync", json!({"script": script, "args": []}))
            .await
    }

    /// What a script gives whose promise is kept.
    pub(crate) async fn run_async(&self, script: &str) -> Value {
        let script = format!("const done = arguments[0]; {script}");
        self.post("/execute/async", json!({"script": script, "args": []}))
            .await
    }

    /// The text of the first element that a selector finds; empty if there is none.
    pub(crate) async fn text(&self, selector: &str) -> String {
        let script = format!("return document.querySelector({selector:?})?.innerText ?? ''");
        self.run(&script).await.as_str().unwrap().to_owned()
    }

    /// Waits until a script says yes.
    pub(crate) async fn until(&self, what: &str, script: &str) {
        eventually(what, PATIENCE, async || {
            (self.run(script).await == json!(true)).then_some(())
        })
        .await;
    }

    /// Presses keys, one after the other.
    pub(crate) async fn press(&self, keys: &str) {
        let presses = keys.chars().flat_map(|key| {
            [
                json!({"type": "keyDown", "value": key}),
                json!({"type": "keyUp", "value": key}),
            ]
        });
        let actions = json!({"actions": [
            {"type": "key", "id": "keyboard", "actions": presses.collect::<Vec<_>>()}
        ]});
        self.post("/actions", actions).await;
    }

    /// Saves what the window shows as `target/screenshots/NAME.png`.
    pub(crate) async fn picture(&self, name: &str) {
        use base64::Engine as _;

        let shot = self.get("/screenshot").await;
        let bytes = base64::engine::general_purpose::STANDARD.decode(shot.as_str().unwrap());
        let folder = pictures();
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(format!("{name}.png")), bytes.unwrap()).unwrap();
    }

    /// What the console said since it was asked last, warnings and errors only.
    pub(crate) async fn complaints(&self) -> Vec<String> {
        let log = self.post("/se/log", json!({"type": "browser"})).await;
        let entries = log.as_array().unwrap().iter();
        let bad = entries
            .filter(|entry| ["SEVERE", "WARNING"].contains(&entry["level"].as_str().unwrap()));
        bad.map(|entry| entry["message"].as_str().unwrap().to_owned())
            .collect()
    }

    /// What pages asked for since this was asked last.
    pub(crate) async fn requests(&self) -> Vec<String> {
        let log = self.post("/se/log", json!({"type": "performance"})).await;
        let entries = log.as_array().unwrap().iter();
        let sent = entries.filter_map(|entry| {
            let text = entry["message"].as_str().unwrap();
            let message: Value = serde_json::from_str(text).unwrap();
            let message = &message["message"];
            (message["method"] == "Network.requestWillBeSent").then(|| {
                message["params"]["request"]["url"]
                    .as_str()
                    .unwrap()
                    .to_owned()
            })
        });
        sent.collect()
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        let request = self.client.post(format!("{}{path}", self.session));
        let request = request.header("content-type", "application/json");
        Self::value(path, request.body(body.to_string())).await
    }

    async fn get(&self, path: &str) -> Value {
        Self::value(path, self.client.get(format!("{}{path}", self.session))).await
    }

    async fn value(path: &str, request: reqwest::RequestBuilder) -> Value {
        let answer = request.send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_success(), "{path}: {text}");
        let mut answer: Value = serde_json::from_str(&text).unwrap();
        answer["value"].take()
    }
}

/// Closes the window, also of a test that fails: the browser would outlive its driver.
impl Drop for Browser {
    fn drop(&mut self) {
        let Some((address, path)) = self
            .session
            .strip_prefix("http://")
            .and_then(|url| url.split_once('/'))
        else {
            return;
        };
        let close = || {
            let mut driver = TcpStream::connect(address)?;
            driver.set_read_timeout(Some(COMMAND))?;
            write!(driver, "DELETE /{path} HTTP/1.1\r\nhost: {address}\r\n\r\n")?;
            // It answers when the window is closed, and keeps the connection.
            driver.read(&mut [0; 512])
        };
        if let Err(error) = close() {
            eprintln!("the browser may stay open: {error}");
        }
    }
}

/// Where pictures go.
fn pictures() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    target
        .unwrap_or_else(|| root().join("target"))
        .join("screenshots")
}
