//! The `buildit` command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    buildit_cli::main()
}
