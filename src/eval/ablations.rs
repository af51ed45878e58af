//! The paper's ablations: UNI-OOD without one of its parts, each trained that way on the same shots by the same recipe.

use std::{fmt, str::FromStr};

use crate::{
    Error, Result,
    tune::{ContextText, Settings, Switches},
};

/// What is taken out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ablation {
    /// Nothing: what the others are compared with.
    Full,
    /// Inter-text attention: all of the context counts alike.
    Average,
    /// Inter-text attention: one prompt lists the context's names.
    Comma,
    /// Inter-text attention: the mean goes through a network of two layers that is trained, too.
    Mlp,
    /// The background's attention.
    NoInterImage,
    /// The background's alignment.
    NoBackgroundAlignment,
    /// The target's attention.
    NoIntraImage,
    /// The target's alignment.
    NoTargetAlignment,
    /// The convolutions.
    NoCnn,
}

impl Ablation {
    /// All of them, as the paper's table has them.
    pub const ALL: [Self; 9] = [
        Self::Full,
        Self::Comma,
        Self::Average,
        Self::Mlp,
        Self::NoInterImage,
        Self::NoBackgroundAlignment,
        Self::NoIntraImage,
        Self::NoTargetAlignment,
        Self::NoCnn,
    ];

    /// Its name in tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Average => "context=average",
            Self::Comma => "context=comma",
            Self::Mlp => "context=mlp",
            Self::NoInterImage => "no-inter-image",
            Self::NoBackgroundAlignment => "no-background-alignment",
            Self::NoIntraImage => "no-intra-image",
            Self::NoTargetAlignment => "no-target-alignment",
            Self::NoCnn => "no-cnn",
        }
    }

    /// How it is trained.
    #[must_use]
    pub fn settings(self, base: Settings) -> Settings {
        let mut switches = Switches::default();
        match self {
            Self::Full | Self::NoCnn => {}
            Self::Average => switches.context = ContextText::Average,
            Self::Comma => switches.context = ContextText::Comma,
            Self::Mlp => switches.context = ContextText::Mlp,
            Self::NoInterImage => switches.inter_image = false,
            Self::NoBackgroundAlignment => switches.background_alignment = false,
            Self::NoIntraImage => switches.intra_image = false,
            Self::NoTargetAlignment => switches.target_alignment = false,
        }
        Settings { switches, cnn: self != Self::NoCnn, ..base }
    }
}

impl fmt::Display for Ablation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Ablation {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|ablation| ablation.name() == name);
        found.ok_or_else(|| Error::Setting(format!("there is no ablation `{name}`; there are {}", Self::ALL.map(Self::name).join(", "))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{combiner::Form, tune::Recipe};

    #[test]
    fn each_takes_out_one_thing_and_its_name_reads_back() {
        let base = Settings { shots: 10, seed: 3, recipe: Recipe::Default, form: Form::Residual, cnn: true, switches: Switches::default() };
        let all = Ablation::ALL.map(|ablation| ablation.settings(base));
        assert_eq!(all[0], base);
        for (index, settings) in all.iter().enumerate() {
            assert!(!all[..index].contains(settings), "{settings:?}");
            assert_eq!((settings.shots, settings.seed), (10, 3));
            assert_eq!(Ablation::ALL[index].name().parse::<Ablation>().unwrap(), Ablation::ALL[index]);
        }
        assert!("no-luck".parse::<Ablation>().unwrap_err().to_string().contains("no-intra-image"));
    }
}
