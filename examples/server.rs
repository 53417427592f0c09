//! The server as a program: `cargo run --example server`.

use std::net::SocketAddr;
use std::sync::Arc;

use buildit::memory::MemoryStore;
use buildit_server::{ServerState, router};
use clap::Parser;

/// The BuildIt server.
#[derive(Debug, Parser)]
struct Options {
    /// Where to listen.
    #[arg(long, env = "BUILDIT_LISTEN", default_value = "127.0.0.1:30080")]
    listen: SocketAddr,
    /// Where runs are kept.
    #[arg(long, env = "BUILDIT_DATA", default_value = "buildit-data")]
    data: std::path::PathBuf,
}

#[tokio::main]
#[expect(clippy::print_stderr, reason = "a program tells where it listens")]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let store = Arc::new(MemoryStore::journaled(&options.data)?);
    let listener = tokio::net::TcpListener::bind(options.listen).await?;
    eprintln!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, router(ServerState::new(store)))
        .with_graceful_shutdown(async { drop(tokio::signal::ctrl_c().await) })
        .await?;
    Ok(())
}
