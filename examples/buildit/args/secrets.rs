//! What can be typed about secrets.

use std::path::PathBuf;
use std::str::FromStr;

use buildit::store::SecretScope;
use clap::{Args, Subcommand, ValueHint};

use super::{DataOutput, StoreArgs, WhereArgs};

#[derive(Debug, Args)]
pub(crate) struct SecretsArgs {
    #[command(subcommand)]
    pub(crate) command: SecretsCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SecretsCommand {
    /// Set a secret; its value comes from standard input
    Set(SetSecretArgs),
    /// List the secrets; nothing shows a value
    List(ListSecretsArgs),
    /// Forget a secret
    Delete(DeleteSecretArgs),
    /// Seal all secrets with the first key; the keys after it open those that are not yet
    RotateKey(RotateKeyArgs),
}

/// What seals and opens the secrets of a store: one key or several, the first of which seals, each 32 bytes in base64. A
/// server has its own.
#[derive(Debug, Args)]
pub(crate) struct KeyArgs {
    /// The file with the keys, for its owner alone [default: what BUILDIT_SECRET_KEY holds]
    #[arg(long, value_name = "PATH", env = "BUILDIT_SECRET_KEY_FILE", value_hint = ValueHint::FilePath)]
    pub(crate) key_file: Option<PathBuf>,
}

/// Which secret.
#[derive(Debug, Args)]
pub(crate) struct PlaceArgs {
    /// Its name
    pub(crate) name: String,
    /// Whose it is: `organization`, `tenant:NAME`, `pipeline:NAME` or `environment:NAME` [default: the organization's in a
    /// store; on a server, which has none of those, the tenant's that the key is of]
    #[arg(long, value_name = "SCOPE")]
    pub(crate) scope: Option<Owner>,
}

#[derive(Debug, Args)]
pub(crate) struct SetSecretArgs {
    #[command(flatten)]
    pub(crate) secret: PlaceArgs,
    #[command(flatten)]
    pub(crate) place: WhereArgs,
    #[command(flatten)]
    pub(crate) keys: KeyArgs,
    /// Take the value of this environment variable
    #[arg(long, value_name = "NAME", conflicts_with = "from_file")]
    pub(crate) from_env: Option<String>,
    /// Take the content of a file
    #[arg(long, value_name = "PATH", value_hint = ValueHint::FilePath)]
    pub(crate) from_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct ListSecretsArgs {
    /// Only those of this owner [default: all of a store; on a server, those of the tenant that the key is of]
    #[arg(long, value_name = "SCOPE")]
    pub(crate) scope: Option<Owner>,
    #[command(flatten)]
    pub(crate) place: WhereArgs,
    /// How to print
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    pub(crate) output: DataOutput,
}

#[derive(Debug, Args)]
pub(crate) struct DeleteSecretArgs {
    #[command(flatten)]
    pub(crate) secret: PlaceArgs,
    #[command(flatten)]
    pub(crate) place: WhereArgs,
}

#[derive(Debug, Args)]
pub(crate) struct RotateKeyArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    #[command(flatten)]
    pub(crate) keys: KeyArgs,
}

/// Whose a secret is: `pipeline:shop`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) scope: SecretScope,
    pub(crate) name: String,
}

impl FromStr for Owner {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (scope, name) = text.split_once(':').unwrap_or((text, ""));
        // What channels and registries keep secret is set where they are.
        let is_elsewhere = |scope: &SecretScope| matches!(scope, SecretScope::Channel | SecretScope::Registry);
        let scope = scope.parse().ok().filter(|scope| !is_elsewhere(scope));
        scope.filter(|scope| (*scope == SecretScope::Organization) == name.is_empty()).map_or_else(
            || Err("it is `organization`, `tenant:NAME`, `pipeline:NAME` or `environment:NAME`".to_owned()),
            |scope| Ok(Self { scope, name: name.to_owned() }),
        )
    }
}
