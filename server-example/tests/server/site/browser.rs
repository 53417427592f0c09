//! A browser at a server of its own.

use std::io::BufRead;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use buildit_server::{Settings, router};
use thirtyfour::prelude::*;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::site::Site;

/// How long something may take to be seen.
const PATIENCE: Duration = Duration::from_secs(30);

/// The driver, which goes with the test.
pub(crate) struct Driver(Child, String);

impl Driver {
    fn start() -> Self {
        let mut child =
            Command::new("chromedriver").arg("--port=0").stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let child = child.as_mut().expect("chromedriver is installed");
        let lines = std::io::BufReader::new(child.stdout.take().unwrap()).lines();
        let port = lines.map(Result::unwrap).find_map(|line| {
            let port = line.split_once("successfully on port ")?.1;
            Some(port.trim_end_matches('.').to_owned())
        });
        Self(
            std::mem::replace(child, Command::new("true").spawn().unwrap()),
            format!("http://127.0.0.1:{}", port.unwrap()),
        )
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A browser at a server, with a way between them that can be cut.
pub(crate) struct Stage {
    pub(crate) site: Site,
    pub(crate) browser: WebDriver,
    pub(crate) base: String,
    pub(crate) cut: watch::Sender<u64>,
    _driver: Driver,
}

impl Stage {
    pub(crate) async fn new() -> Self {
        Self::new_with(|_, _| ()).await
    }

    /// The same with other settings, which are told where the server is.
    pub(crate) async fn new_with(change: impl FnOnce(&mut Settings, &str)) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = listener.local_addr().unwrap();
        let (port, cut) = between(server).await;
        let base = format!("http://localhost:{port}");
        let site = Site::new_with(|settings| change(settings, &base)).await;
        let app = router(site.server.state().clone()).into_make_service_with_connect_info::<SocketAddr>();
        tokio::spawn(async move { axum::serve(listener, app).await });
        let driver = Driver::start();
        let mut capabilities = DesiredCapabilities::chrome();
        for argument in
            ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1440,900"]
        {
            capabilities.add_arg(argument).unwrap();
        }
        let browser = WebDriver::new(&driver.1, capabilities).await.unwrap();
        Self { site, browser, base, cut, _driver: driver }
    }

    pub(crate) async fn open(&self, path: &str) {
        self.browser.goto(format!("{}{path}", self.base)).await.unwrap();
    }

    pub(crate) async fn find(&self, css: &str) -> WebElement {
        self.browser.query(By::Css(css)).wait(PATIENCE, Duration::from_millis(50)).first().await.unwrap()
    }

    pub(crate) async fn click(&self, css: &str) {
        self.find(css).await.click().await.unwrap();
    }

    pub(crate) async fn write(&self, css: &str, text: &str) {
        let field = self.find(css).await;
        field.clear().await.unwrap();
        field.send_keys(text).await.unwrap();
    }

    pub(crate) async fn text(&self, css: &str) -> String {
        self.find(css).await.text().await.unwrap()
    }

    /// The first visit, up to the dashboard.
    pub(crate) async fn found(&self) {
        self.open("/").await;
        self.write("[name=organization]", "acme").await;
        self.write("[name=email]", "ada@example.com").await;
        self.write("[name=password]", "correct horse").await;
        self.click(".main-action").await;
        assert!(self.text("h2").await.contains("Nothing has run yet"));
    }

    /// Makes a pipeline in the wizard and starts it.
    pub(crate) async fn start(&self, config: &str) {
        self.open("/acme/main/new").await;
        let set = "document.querySelector('textarea').value = arguments[0]";
        self.browser.execute(set, vec![config.into()]).await.unwrap();
        self.click("form.editor .main-action").await;
        self.click(".title .main-action").await;
        self.click("form .main-action").await;
        self.find("#now").await;
    }

    /// As wide as this many pixels.
    pub(crate) async fn resize(&self, width: i64) {
        self.resize_to(width, 800, 1.0).await;
    }

    /// So wide and high, with so many pixels for one of the page.
    pub(crate) async fn resize_to(&self, width: i64, height: i64, scale: f64) {
        let size = serde_json::json!({ "width": width, "height": height, "deviceScaleFactor": scale, "mobile": false });
        self.browser.cdp().send_raw("Emulation.setDeviceMetricsOverride", size).await.unwrap();
    }

    /// Requires the page to be no wider than this.
    pub(crate) async fn fits(&self, width: i64, page: &str) {
        let wide = self.number("return document.documentElement.scrollWidth").await;
        assert!(wide <= width, "{page} is {wide} px wide at {width} px");
    }

    pub(crate) async fn until_state(&self, state: &str) {
        self.find(&format!("#now[data-state={state}]")).await;
    }

    pub(crate) async fn number(&self, script: &str) -> i64 {
        self.browser.execute(script, vec![]).await.unwrap().json().as_i64().unwrap()
    }

    /// Nothing went wrong in the pages, and nothing was asked of anybody else.
    pub(crate) async fn end(self) {
        let bad: Vec<_> =
            self.browser.browser_log().await.unwrap().into_iter().filter(|entry| entry.level == "SEVERE").collect();
        assert!(bad.is_empty(), "{bad:?}");
        self.browser.quit().await.unwrap();
    }
}

/// A port that leads to the server; whenever the sender says so, all that goes through it breaks off.
async fn between(server: SocketAddr) -> (u16, watch::Sender<u64>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (cut, cuts) = watch::channel(0);
    tokio::spawn(async move {
        while let Ok((mut from, _)) = listener.accept().await {
            let mut cuts = cuts.clone();
            cuts.mark_unchanged();
            tokio::spawn(async move {
                let mut to = TcpStream::connect(server).await.unwrap();
                tokio::select! {
                    _ = copy_bidirectional(&mut from, &mut to) => {}
                    _ = cuts.changed() => {}
                }
            });
        }
    });
    (port, cut)
}
