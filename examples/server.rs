//! The server as a program: `cargo run --example server`.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context;
use buildit_server::{Server, Settings, subscriber};
use clap::Parser;
use tracing_subscriber::util::SubscriberInitExt;

/// The BuildIt server.
#[derive(Debug, Parser)]
struct Options {
    /// Where to listen [default: 127.0.0.1:30080]
    #[arg(long)]
    listen: Option<SocketAddr>,
    /// The folder of everything that is kept [default: ./buildit-data]
    #[arg(long)]
    data: Option<PathBuf>,
    /// A TOML file with settings; those of the environment (BUILDIT_…) and of the command line win over it
    #[arg(long, env = "BUILDIT_CONFIG")]
    config: Option<PathBuf>,
    /// Bring the schema of the store up to date, and end
    #[arg(long)]
    migrate_only: bool,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let mut settings = Settings::load(options.config.as_deref()).context("the settings cannot be read")?;
    let directives = std::env::var("BUILDIT_LOG").ok();
    subscriber(settings.log_format, directives.as_deref(), std::io::stderr).init();
    settings.listen = options.listen.unwrap_or(settings.listen);
    settings.data = options.data.unwrap_or(settings.data);
    if options.migrate_only {
        Server::migrate(&settings).await?;
        say("the store has the schema of this version");
        return Ok(());
    }
    let listener = tokio::net::TcpListener::bind(settings.listen);
    let listener = listener.await.with_context(|| format!("cannot listen on {}", settings.listen))?;
    // The port that it has, where any was asked for.
    settings.listen = listener.local_addr()?;
    let server = Server::open(settings).await?;
    say(&format!("listening on http://{}", listener.local_addr()?));
    if let Some(url) = server.state().setup_url().await? {
        say(&format!("there is no owner yet: open {url}"));
    }
    server.serve(listener, stopped()).await?;
    Ok(())
}

/// Tells people. Nobody need listen.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Until somebody stops the program.
async fn stopped() {
    let interrupted = tokio::signal::ctrl_c();
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminated) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = interrupted => {}
                _ = terminated.recv() => {}
            }
            return;
        }
    }
    drop(interrupted.await);
}
