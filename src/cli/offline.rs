//! What the commands that work on data sets share: `tune`, `calibrate`, `eval`.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, ValueEnum};
use uniood::{
    Error,
    data::Faults,
    engine::{DetectorChoice, Device, EngineConfig, Precision},
    models::ModelSet,
};

use crate::{console, settings::Models};

/// Flags of theirs.
#[derive(Args)]
pub(crate) struct Offline {
    /// Stop at the first file or annotation that is broken
    #[arg(long)]
    strict: bool,
    /// Where the models run: auto, cpu, cuda[:n], tensorrt[:n], openvino[:name]
    #[arg(long, default_value = "auto")]
    device: Device,
    /// What the encoder computes in: auto (fp32), fp32, fp16 (with device tensorrt), bf16 (with device openvino), int8 (on a processor)
    #[arg(long, default_value_t = Precision::Auto)]
    precision: Precision,
    /// Where built graphs and CLIP's outputs are kept [default: the user's cache]
    #[arg(long, value_name = "DIR")]
    model_cache_dir: Option<PathBuf>,
}

/// Where boxes come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum BoxesFrom {
    /// A detector, as in the element
    Detector,
    /// The labels
    Truth,
}

impl Offline {
    /// Reads the model set.
    pub(crate) fn open(&self, models: &Models) -> Result<ModelSet> {
        models.open_in(self.model_cache_dir.as_deref())
    }

    /// For what is broken in the data.
    pub(crate) fn faults(&self) -> Faults {
        if self.strict { Faults::strict() } else { Faults::default() }
    }

    pub(crate) fn engine(&self, models: ModelSet, detector: DetectorChoice) -> EngineConfig {
        EngineConfig {
            models,
            detector,
            device: self.device.clone(),
            precision: self.precision,
            batch_size: 1,
            batch_timeout: None,
            cache_dir: self.model_cache_dir.clone(),
            threads: None,
        }
    }
}

/// What came of work that says what was left out of its data; `None` where the user interrupted it, which is said.
pub(crate) fn ended<T>(result: uniood::Result<T>, faults: &Faults) -> Result<Option<T>> {
    say_faults(faults);
    match result {
        Err(Error::Interrupted) => {
            console::note(Error::Interrupted);
            Ok(None)
        }
        result => Ok(Some(result?)),
    }
}

/// What was left out, and why.
fn say_faults(faults: &Faults) {
    for sentence in faults.sentences() {
        console::note(format_args!("left out: {sentence}"));
    }
    let more = faults.count() - faults.sentences().len();
    if more > 0 {
        console::note(format_args!("left out: {more} more"));
    }
    if faults.verdicts > 0 {
        console::note(format_args!(
            "{} labels are verdicts that nobody corrected; look them through before you rely on what comes of them",
            faults.verdicts
        ));
    }
    if faults.crowds + faults.ignored > 0 {
        console::note(format_args!(
            "not used: {} boxes around crowds, {} objects that the data say to ignore",
            faults.crowds, faults.ignored
        ));
    }
}
