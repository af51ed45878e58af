//! The command line of the street world.

mod files;
mod sheet;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// A rendered street world with ground truth for every object.
#[derive(Parser)]
#[command(
    name = "street-world",
    version,
    max_term_width = 100,
    after_help = "Exit codes: 0 done; 1 failed; 2 wrong usage; 130 interrupted (every file that is there is whole)."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Sheet(sheet::Sheet),
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Sheet(sheet) => sheet.run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("street-world: {error:#}");
            ExitCode::FAILURE
        }
    }
}
