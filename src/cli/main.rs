//! The command line: results on stdout, everything else on stderr, exit codes below.

mod bench;
mod boxes;
mod bus;
mod calibrate;
mod connection;
mod console;
mod crops;
mod doctor;
mod entrance;
mod eval;
mod frames;
mod inputs;
mod journal;
mod labelled;
mod life;
mod models;
mod offline;
mod parallel;
mod plugin;
mod precision;
mod recording;
mod run;
mod score;
mod scoring;
mod settings;
mod shown;
mod signals;
mod summary;
mod tune;
mod usage;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use usage::Usage;

/// Tells for every object whether it is one of the things you know (ID) or something else (OOD).
#[derive(Parser)]
#[command(name = "uniood", version, max_term_width = 100, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 done; 1 failed on the way (what was done is kept); 2 wrong usage; \
3 a gate that you set was missed; 130 interrupted (files are closed and playable).";

#[derive(Subcommand)]
enum Command {
    Score(score::Score),
    Run(run::Run),
    Tune(tune::Tune),
    Calibrate(calibrate::Calibrate),
    Eval(Box<eval::Eval>),
    Models(models::Models),
    Bench(bench::Bench),
    Doctor(doctor::Doctor),
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// All of it was done.
    Done,
    /// Some of it failed, which was said; the rest is done.
    Failed,
    /// What was typed cannot be meant.
    Misused,
    /// A gate that the user set was missed (`--fail-on-ood`, `--min-auroc`, `--min-p`).
    GateMissed,
    /// Ctrl-C; the files are closed and playable.
    Interrupted,
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        Self::from(match outcome {
            Outcome::Done => 0,
            Outcome::Failed => 1,
            Outcome::Misused => 2,
            Outcome::GateMissed => 3,
            Outcome::Interrupted => 130,
        })
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    console::log_to_stderr();
    let outcome = match cli.command {
        Command::Score(score) => score.run(),
        Command::Run(run) => run.run(),
        Command::Tune(tune) => tune.run(),
        Command::Calibrate(calibrate) => calibrate.run(),
        Command::Eval(eval) => eval.run(),
        Command::Models(models) => models.run(),
        Command::Bench(bench) => bench.run(),
        Command::Doctor(doctor) => Ok(doctor.run()),
    };
    let outcome = outcome.unwrap_or_else(|error| {
        console::error(&error);
        if error.is::<Usage>() { Outcome::Misused } else { Outcome::Failed }
    });
    if outcome == Outcome::Done && !console::all_was_said() { Outcome::Failed } else { outcome }.into()
}
