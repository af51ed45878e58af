//! What is compared: UNI-OOD and training-free or shot-based methods on the same boxes and the same CLIP outputs.
//!
//! s_c = cos(crop, text_c). Every method is a plain function on an object's numbers; a high score means ID. Hyper-parameters are
//! fixed here, none is chosen by looking at OOD data.

mod cosines;
mod local;
mod negatives;
mod runa;
mod shots;

use std::{fmt, str::FromStr};

pub use cosines::{energy, logit_gap, max_cosine, mcm};
pub use local::gl_mcm;
pub use negatives::{farthest, neg_label, neg_max};
pub use runa::{RunaLike, fused};
pub use shots::{Mahalanobis, knn};

use crate::{Error, Result};

/// T of `mcm-0.01`, of `energy` and `neg-label`: CLIP's own temperature.
pub const COLD: f64 = 0.01;

/// The methods, in the order of tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// The detector's confidence.
    Detector,
    /// `max_c s_c`: plain CLIP.
    MaxCosine,
    /// `max softmax(s)`, T = 1 on raw cosines as its code does (Ming et al. 2022).
    Mcm,
    /// The same at T = 0.01.
    McmCold,
    /// `T·logsumexp(s/T)`, T = 0.01 (Liu et al. 2020).
    Energy,
    /// The largest s less the mean of the next ⌈0.2·C⌉.
    LogitGap,
    /// MCM, and half of the largest share that a patch has (Miyai et al. 2025).
    GlMcm,
    /// The share of ID among ID and negative texts (Jiang et al. 2024).
    NegLabel,
    /// `max_c s_c` less the largest of 20 negatives.
    NegMax,
    /// The nearest shot (Sun et al. 2022).
    Knn,
    /// The nearest class of the shots under their common covariance (Lee et al. 2018).
    Mahalanobis,
    /// Crop and picture with its background blurred, fused, behind a projection that is tuned on the shots, in RUNA's manner **(ours)**.
    RunaLike,
    /// `max_c s_c` behind half a mean shift from where the shots are to where their texts are; no training **(ours)**.
    Shift,
    /// How sure an open-vocabulary detector is of the class of `max_c s_c`, by its own boxes of IoU ≥ 0.2.
    Agree,
    /// `max_c Ω_c`.
    Uniood,
}

/// What a run has beside pictures and texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(clippy::struct_excessive_bools, reason = "what is there and what is not, each by itself")]
pub struct Supplies {
    /// Boxes come from a detector.
    pub detector: bool,
    /// A list of negative words.
    pub negatives: bool,
    /// Objects of known classes.
    pub shots: bool,
    /// An open-vocabulary detector.
    pub open_vocabulary: bool,
}

impl Method {
    /// All of them, in the order of tables.
    pub const ALL: [Self; 15] = [
        Self::Detector,
        Self::MaxCosine,
        Self::Mcm,
        Self::McmCold,
        Self::Energy,
        Self::LogitGap,
        Self::GlMcm,
        Self::NegLabel,
        Self::NegMax,
        Self::Knn,
        Self::Mahalanobis,
        Self::RunaLike,
        Self::Shift,
        Self::Agree,
        Self::Uniood,
    ];

    /// Its name on the command line and in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Detector => "detector",
            Self::MaxCosine => "max-cosine",
            Self::Mcm => "mcm",
            Self::McmCold => "mcm-0.01",
            Self::Energy => "energy",
            Self::LogitGap => "logit-gap",
            Self::GlMcm => "gl-mcm",
            Self::NegLabel => "neg-label",
            Self::NegMax => "neg-max",
            Self::Knn => "knn",
            Self::Mahalanobis => "mahalanobis",
            Self::RunaLike => "runa-like",
            Self::Shift => "shift",
            Self::Agree => "agree",
            Self::Uniood => "uniood",
        }
    }

    /// What it lacks in a run with these supplies, and how to give it.
    #[must_use]
    pub const fn lacks(self, supplies: Supplies) -> Option<&'static str> {
        match self {
            Self::Detector if !supplies.detector => Some("a detector's boxes; leave --boxes truth out"),
            Self::NegLabel | Self::NegMax if !supplies.negatives => Some("negative words; give a list of them with --negatives FILE"),
            Self::Knn | Self::Mahalanobis | Self::RunaLike | Self::Shift if !supplies.shots => {
                Some("objects of the known classes; give them with --shots DATA")
            }
            Self::Agree if !supplies.open_vocabulary => {
                Some("an open-vocabulary detector; give an OWLv2's Hugging Face folder with --open-vocabulary DIR")
            }
            _ => None,
        }
    }

    /// Those that a run with these supplies can have.
    #[must_use]
    pub fn supported(supplies: Supplies) -> Vec<Self> {
        Self::ALL.into_iter().filter(|method| method.lacks(supplies).is_none()).collect()
    }

    /// Whether it takes more of CLIP than what UNI-OOD itself works on, so that a run is slower for it.
    #[must_use]
    pub const fn is_extra(self) -> bool {
        matches!(self, Self::GlMcm | Self::RunaLike)
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Method {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        if let Some(method) = Self::ALL.into_iter().find(|method| method.name() == name) {
            return Ok(method);
        }
        let known = Self::ALL.map(Self::name).join(", ");
        Err(Error::Setting(format!("there is no method `{name}`; there are {known}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_and_an_unknown_one_lists_the_known() {
        for method in Method::ALL {
            assert_eq!(method.name().parse::<Method>().unwrap(), method);
        }
        let error = "msp".parse::<Method>().unwrap_err().to_string();
        assert!(error.contains("no method `msp`") && Method::ALL.iter().all(|method| error.contains(method.name())), "{error}");
    }

    #[test]
    fn a_method_that_lacks_something_is_not_supported() {
        let nothing = Method::supported(Supplies::default());
        assert!(nothing.contains(&Method::Uniood) && !nothing.contains(&Method::Detector) && !nothing.contains(&Method::Knn));
        assert!(nothing.iter().any(|method| method.is_extra()));
        let all = Supplies { detector: true, negatives: true, shots: true, open_vocabulary: true };
        assert_eq!(Method::supported(all), Method::ALL);
    }
}
