//! The command line of the street world: pictures, videos and data sets with their ground truth.

mod dataset;
mod files;
mod flags;
mod interrupt;
mod render;
mod sheet;
mod stills;
#[cfg(feature = "video")]
mod video;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// A rendered street world with ground truth for every object.
#[derive(Parser)]
#[command(name = "street-world", version, max_term_width = 100, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 done; 1 failed; 2 wrong usage; 130 interrupted. Every file that is there is whole.";

#[derive(Subcommand)]
enum Command {
    Render(render::Render),
    #[cfg(feature = "video")]
    Video(video::Video),
    Dataset(dataset::Dataset),
    Sheet(sheet::Sheet),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = interrupt::listen().and_then(|()| match &cli.command {
        Command::Render(render) => render.run(),
        #[cfg(feature = "video")]
        Command::Video(video) => video.run(),
        Command::Dataset(dataset) => dataset.run(),
        Command::Sheet(sheet) => sheet.run(),
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is::<interrupt::Interrupted>() => {
            eprintln!("street-world: {error}");
            ExitCode::from(130)
        }
        Err(error) => {
            eprintln!("street-world: {error:#}");
            ExitCode::FAILURE
        }
    }
}
