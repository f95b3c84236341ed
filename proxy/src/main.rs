//! The `portcullis` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    portcullis_proxy::cli::main(std::env::args_os())
}
