//! The server as a program: `cargo run --example server`.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context;
use buildit_server::{KeyFile, KeyRestored, Server, Settings, Written, subscriber};
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
    /// Write all that is kept to this file, and end; servers go on meanwhile
    #[arg(long, value_name = "FILE", conflicts_with = "migrate_only")]
    backup: Option<PathBuf>,
    /// Put the key of the secrets in the backup too: whoever has the backup can open them then
    #[arg(long, requires = "backup")]
    with_key: bool,
    /// Restore a backup to where nothing is yet, and end; the server that it is of must have ended for good
    #[arg(long, value_name = "FILE", conflicts_with_all = ["migrate_only", "backup"])]
    restore: Option<PathBuf>,
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
    if let Some(to) = options.backup {
        let key = if options.with_key { KeyFile::Included } else { KeyFile::LeftOut };
        let Written { blobs, bytes, .. } = Server::backup(&settings, &to, key).await?;
        say(&format!("{} has everything: the database and {blobs} blobs, {bytes} bytes", to.display()));
        return Ok(());
    }
    if let Some(from) = options.restore {
        let restored = Server::restore(&settings, &from).await?;
        say(&format!("{} is restored: the database and {} blobs", settings.data.display(), restored.blobs));
        if restored.key == KeyRestored::No {
            say(
                "the key of the secrets was not in it: put secret.key there, or set BUILDIT_SECRET_KEY, before it starts",
            );
        }
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
