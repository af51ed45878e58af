//! `uniood models pull`: a set by name, or any CLIP, from the Hugging Face hub.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::Result;
use clap::Args;
use indicatif::{DecimalBytes, ProgressBar};
use serde_json::{Value, json};
use uniood::{
    Error,
    pull::{
        Hub, News, Pulled, RepositoryId, Revision, Source, Wanted,
        catalog::{self, ENTRIES, Entry, UNCALIBRATED},
        pull,
    },
    vocabulary::parse_classes,
};

use crate::{
    Outcome,
    console::{self, say},
    signals::{self, interrupted},
    usage::{set_name, usage},
};

/// Without a bar, a large file is told of again after this long.
const NEWS: Duration = Duration::from_secs(10);

/// Smaller files are there at once, and not told of.
const SMALL: u64 = 100_000;

/// Fetch a model set from the Hugging Face hub; what was fetched before, or in part, is gone on with
#[derive(Args)]
#[command(
    after_help = "Examples: uniood models pull driving --out set\n          uniood models pull openai/clip-vit-large-patch14 --classes car,bus,deer --out large\n\nTaken from the environment, as huggingface_hub does it: HF_TOKEN, HF_ENDPOINT, HF_HOME, HF_HUB_CACHE, HF_HUB_OFFLINE, HF_HUB_ETAG_TIMEOUT and HF_HUB_DOWNLOAD_TIMEOUT (seconds without an answer, or more of it), HTTPS_PROXY, SSL_CERT_FILE."
)]
pub(super) struct Pull {
    /// A set that `uniood models list` shows, or the repository of a CLIP: owner/name
    #[arg(value_name = "NAME|REPOSITORY")]
    what: String,
    /// Where the set goes; a folder that is not there yet
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// In-distribution classes: `car,bus,…` or a text file, one a line [default: the named set's; needed for a repository]
    #[arg(long, value_name = "LIST")]
    classes: Option<String>,
    /// Branch, tag, refs/pr/N or commit of a repository [default: main; named sets have their own]
    #[arg(long, value_name = "REVISION")]
    revision: Option<Revision>,
    /// The new set's name [default: that of the folder]
    #[arg(long)]
    name: Option<String>,
    /// How often in a row a request may fail; between attempts are pauses that double from 1 s up to 30 s
    #[arg(long, value_name = "N", default_value = "5", value_parser = clap::value_parser!(u32).range(1..=1000))]
    attempts: u32,
    /// One JSON object (uniood.pull/1) in place of the lines
    #[arg(long)]
    json: bool,
}

impl Pull {
    pub(super) fn run(self) -> Result<Outcome> {
        let wanted = self.wanted()?;
        let hub = Hub::from_environment()?.with_attempts(self.attempts);
        signals::watch()?;
        let mut shown = Shown::default();
        let pulled = pull(&hub, &wanted, &self.out, &mut |news| {
            shown.show(news);
            interrupted()
        });
        shown.finish();
        let pulled = match pulled {
            Err(Error::Interrupted) => {
                console::note(Error::Interrupted);
                return Ok(Outcome::Interrupted);
            }
            pulled => pulled?,
        };
        if self.json {
            say(self.document(&pulled));
        } else {
            self.lines(&wanted, &pulled);
        }
        Ok(Outcome::Done)
    }

    /// What was typed, as what is meant; what cannot be meant is wrong usage.
    fn wanted(&self) -> Result<Wanted> {
        let name = set_name(self.name.as_deref(), &self.out)?;
        let classes = self.classes.as_deref().map(parse_classes).transpose()?;
        if let Some(entry) = catalog::find(&self.what) {
            if self.revision.is_some() {
                return Err(usage(format!("--revision is for a repository; the set `{}` has its own", entry.name)));
            }
            return Ok(entry.wanted(&name, classes)?);
        }
        if !self.what.contains('/') {
            let names = ENTRIES.map(|entry| entry.name).join(", ");
            return Err(usage(format!("there is no set `{}`; there are {names}, and repositories of the hub as owner/name", self.what)));
        }
        let repository: RepositoryId = self.what.parse().map_err(|error: Error| usage(error.to_string()))?;
        let Some(classes) = classes else {
            return Err(usage("a repository has no classes of its own; name them with --classes car,bus,… or a file"));
        };
        let clip = Source { repository, revision: self.revision.clone().unwrap_or_default(), licence: None };
        Ok(Wanted::clip(&name, clip, classes, UNCALIBRATED))
    }

    fn lines(&self, wanted: &Wanted, pulled: &Pulled) {
        let out = self.out.display();
        let detector = match pulled.manifest["detector"]["layout"].as_str() {
            Some(layout) => format!("detector {layout}"),
            None => "no detector".to_owned(),
        };
        say(format_args!("{out}: {} classes, plain CLIP, {detector}", wanted.classes.len()));
        say(format_args!(
            "its threshold {} is a place to start from; `uniood calibrate DATA --models {out}` sets one that is measured",
            wanted.threshold
        ));
    }

    fn document(&self, pulled: &Pulled) -> Value {
        let sources: Vec<Value> = pulled
            .sources
            .iter()
            .map(|source| {
                json!({"repository": source.repository, "revision": source.revision, "commit": source.commit, "licence": source.licence, "files": source.files})
            })
            .collect();
        json!({"schema": "uniood.pull/1", "out": self.out, "sources": sources, "manifest": pulled.manifest})
    }
}

/// What can be pulled, for `uniood models list`.
pub(super) fn list() {
    say("\nTo be pulled (uniood models pull NAME --out DIR), licences of the weights:");
    for Entry { name, clip, detector, classes, .. } in &ENTRIES {
        say(format_args!("{name}\n  classes   {}", classes.join(", ")));
        for (role, model) in [("clip", clip), ("detector", detector)] {
            let size = model.bytes.map_or_else(|| "size not known here".to_owned(), |bytes| DecimalBytes(bytes).to_string());
            say(format_args!("  {role:9} {}, {}, {size}, {}", model.name, model.repository, model.licence));
        }
    }
}

/// What is shown while files come: a bar for each on a terminal, else a line now and then.
#[derive(Default)]
struct Shown {
    file: Option<File>,
}

struct File {
    path: String,
    bytes: u64,
    there: u64,
    bar: ProgressBar,
    told: Instant,
}

impl Shown {
    fn show(&mut self, news: News<'_>) {
        match news {
            News::Source { repository, commit, licence } => {
                self.line(&format!("{repository} at {commit}\n  licence: {licence}"));
            }
            News::File { bytes, .. } if bytes < SMALL => self.finish(),
            News::File { path, bytes, there } => {
                self.finish();
                let file = File { path: path.to_owned(), bytes, there, bar: console::progress_of_bytes(path, bytes), told: Instant::now() };
                file.bar.set_position(there);
                file.bar.reset_eta();
                if file.bar.is_hidden() {
                    let before = if there > 0 { format!(", {} of it there from before", DecimalBytes(there)) } else { String::new() };
                    console::note(format_args!("  {path}, {}{before}", DecimalBytes(bytes)));
                }
                self.file = Some(file);
            }
            News::There(there) => {
                if let Some(file) = &mut self.file {
                    file.there = there;
                    file.bar.set_position(there);
                }
                self.tell();
            }
            News::Again { why, pause } => self.line(&format!("{why}; next attempt in {pause:?}")),
            News::Note(text) => self.line(text),
            News::Idle => self.tell(),
        }
    }

    /// A line above the bar.
    fn line(&self, text: &str) {
        match &self.file {
            Some(file) => file.bar.suspend(|| console::note(text)),
            None => console::note(text),
        }
    }

    /// Where there is no bar, how far it is.
    fn tell(&mut self) {
        if let Some(file) = &mut self.file
            && file.bar.is_hidden()
            && file.told.elapsed() >= NEWS
        {
            file.told = Instant::now();
            console::note(format_args!("  {}: {} of {}", file.path, DecimalBytes(file.there), DecimalBytes(file.bytes)));
        }
    }

    fn finish(&mut self) {
        if let Some(file) = self.file.take() {
            // At what is there, which is less than all of it where something ended it.
            file.bar.abandon();
        }
    }
}
