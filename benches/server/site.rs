//! A server in this process, in a folder of its own.

use std::net::SocketAddr;

use buildit_server::{Server, Settings};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::client::Client;

/// A server that is served at a port of the loopback until it is dropped with its runtime.
pub(crate) struct Site {
    pub(crate) address: SocketAddr,
    pub(crate) token: String,
    owner: String,
    pub(crate) folder: tempfile::TempDir,
}

impl Site {
    /// An empty one with an owner's key, which drives its runs or leaves them queued.
    pub(crate) async fn new(is_driving: bool) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut settings = Settings::default();
        settings.data = folder.path().join("data");
        settings.requests_per_second = 1_000_000.try_into().expect("more than none");
        settings.docker = false;
        let server = Server::open(settings).await.expect("a server");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async move {
            if is_driving {
                server.serve(listener, std::future::pending()).await
            } else {
                axum::serve(listener, server.routes().into_make_service_with_connect_info::<SocketAddr>()).await
            }
        });
        let owner = found(address).await;
        let mut founder = Client::connect(address, &owner).await;
        let organizations = founder.get("/api/v1/organizations").await;
        let path = format!("/api/v1/organizations/{}/tenants", id(&organizations["items"][0]));
        let tenants = founder.get(&path).await;
        let path = format!("/api/v1/tenants/{}/keys", id(&tenants["items"][0]));
        let key = founder.post(&path, &json!({ "name": "bench", "role": "owner" })).await;
        Self { address, token: key["token"].as_str().expect("a token").to_owned(), owner, folder }
    }

    /// A new connection with its key.
    pub(crate) async fn client(&self) -> Client {
        Client::connect(self.address, &format!("Authorization: Bearer {}", self.token)).await
    }

    /// A new connection of the owner's browser.
    pub(crate) async fn owner(&self) -> Client {
        Client::connect(self.address, &self.owner).await
    }

    /// A new pipeline's id.
    pub(crate) async fn pipeline(&self, config: &str) -> String {
        id(&self.client().await.post("/api/v1/pipelines", &json!({ "config": config })).await)
    }
}

/// Makes the owner, and gives what they are known by: a line of a request's head.
async fn found(address: SocketAddr) -> String {
    let mut founder = Client::connect(address, "Sec-Fetch-Site: same-origin").await;
    let fields = "organization=acme&email=ada%40example.com&name=Ada&password=correct+horse";
    let (head, _) = founder.send("POST", "/setup", "application/x-www-form-urlencoded", fields).await;
    let cookie = head.lines().find_map(|line| line.strip_prefix("set-cookie: ")).expect("a session");
    format!("Sec-Fetch-Site: same-origin\r\nCookie: {}", cookie.split(';').next().unwrap_or_default())
}

fn id(thing: &Value) -> String {
    thing["id"].as_str().unwrap_or_else(|| panic!("no id in {thing}")).to_owned()
}
