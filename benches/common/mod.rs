//! What the benches share: random models, work timed in turn, a Markdown table of figures beside their goals.

pub(crate) mod random_clip;

use std::time::{Duration, Instant};

/// Command line of a bench.
pub(crate) struct Options {
    arguments: Vec<String>,
}

impl Options {
    /// The command line; `None` where it is not `cargo bench` that runs it, but `cargo test`, which is content with a
    /// bench that builds.
    pub(crate) fn read() -> Option<Self> {
        let arguments: Vec<String> = std::env::args().collect();
        arguments.iter().any(|argument| argument == "--bench").then_some(Self { arguments })
    }

    /// What stands behind `flag`.
    pub(crate) fn value_of(&self, flag: &str) -> Option<&str> {
        let at = self.arguments.iter().position(|argument| argument == flag)?;
        self.arguments.get(at + 1).map(String::as_str)
    }

    /// `--repeats`, 5 where it is not given.
    pub(crate) fn repeats(&self) -> usize {
        self.value_of("--repeats").map_or(5, |repeats| repeats.parse().unwrap())
    }
}

/// Times each work once in turn, `repeats` times, after one round that does not count.
#[allow(dead_code, reason = "not every bench times all its works in one process")]
pub(crate) fn interleaved(repeats: usize, works: &mut [&mut dyn FnMut()]) -> Vec<Vec<Duration>> {
    let mut times = vec![Vec::new(); works.len()];
    for round in 0..=repeats {
        for (work, times) in works.iter_mut().zip(&mut times) {
            let start = Instant::now();
            work();
            if round > 0 {
                times.push(start.elapsed());
            }
        }
    }
    times
}

/// What a figure should reach: at least (`≥`) or at most (`≤`) this; `None` is only to be read.
pub(crate) type Goal = Option<(char, f64)>;

/// A figure, taken once a repeat.
pub(crate) struct Figure {
    pub(crate) what: String,
    pub(crate) goal: Goal,
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
    pub(crate) digits: usize,
}

impl Figure {
    pub(crate) fn new(what: impl Into<String>, goal: Goal, values: &[f64], digits: usize) -> Self {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        Self { what: what.into(), goal, median: sorted[sorted.len() / 2], least: sorted[0], most: sorted[sorted.len() - 1], digits }
    }

    /// The head of a table of figures.
    pub(crate) const HEAD: &str = "| figure | goal | median | least | most | median meets it |\n|---|---|---|---|---|---|";

    /// A row of such a table.
    fn row(&self) -> String {
        let (goal, met) = self.goal.map_or_else(Default::default, |(relation, goal)| {
            let met = if relation == '≥' { self.median >= goal } else { self.median <= goal };
            (format!("{relation} {goal}"), if met { "yes" } else { "**no**" })
        });
        let Self { what, median, least, most, digits, .. } = self;
        format!("| {what} | {goal} | {median:.digits$} | {least:.digits$} | {most:.digits$} | {met} |")
    }
}

/// Prints rows of a table of figures.
#[expect(clippy::print_stdout, reason = "a bench prints its figures")]
pub(crate) fn print(figures: &[Figure]) {
    for figure in figures {
        println!("{}", figure.row());
    }
}
