//! What an evaluation needs of the shots: computed before the first picture.

use ndarray::{Array1, Array2, Axis};

use super::{
    methods::{Mahalanobis, RunaLike, fused},
    scene::Scenes,
    words::Words,
};
use crate::{
    Result,
    data::{DataSet, Faults},
    engine::{EngineConfig, FeatureEncoder},
    frame::FrameSource,
    models::Weights,
    pair::Base,
    score::unit_rows,
    tune::{
        self, shift,
        shots::{self, Shot},
        texts,
    },
};

/// A few objects of each class, as the shot-based methods see them.
#[derive(Debug)]
pub(super) struct Bank {
    /// Unit embeddings, `[n, E]`.
    pub(super) embeddings: Array2<f32>,
    pub(super) gaussians: Mahalanobis,
    /// Half a mean shift of z_0, `[D]`.
    pub(super) shift: Array1<f32>,
    /// Where it is asked for.
    pub(super) runa: Option<RunaLike>,
}

/// Where a bank comes from.
pub(super) struct Source<'a> {
    pub(super) config: &'a EngineConfig,
    pub(super) data: &'a DataSet,
    pub(super) settings: &'a tune::Settings,
    pub(super) classes: &'a [String],
    pub(super) words: &'a Words,
    /// Whether `runa-like` is asked for.
    pub(super) runa: bool,
}

impl Bank {
    pub(super) fn open(
        source: &Source<'_>,
        encoder: &mut FeatureEncoder,
        faults: &mut Faults,
        watch: &mut tune::Watch<'_>,
    ) -> Result<Self> {
        let Source { data, classes, settings, words, .. } = source;
        let shots = shots::gather(encoder, data, classes, settings, faults, watch)?;
        let own: Vec<usize> = shots.iter().map(|shot| shot.class).collect();
        let cls: Vec<_> = shots.iter().map(|shot| shot.features.tokens_target.row(0)).collect();
        let cls = ndarray::stack(Axis(0), &cls).expect("every state has the image tower's width");
        let projected = cls.dot(&words.projection.t());
        let embeddings = unit_rows(&projected);
        let shift = shift::half(&projected, &words.vocabulary.text.select(Axis(0), &own), &own, &words.projection);
        let runa = if source.runa { Some(runa(source, &shots, &own, &embeddings, encoder, watch)?) } else { None };
        Ok(Self { gaussians: Mahalanobis::new(&embeddings, &own), embeddings, shift, runa })
    }
}

/// Reads the shots' pictures once more for their scenes, and tunes the projection.
fn runa(
    source: &Source<'_>,
    shots: &[Shot],
    own: &[usize],
    crops: &Array2<f32>,
    encoder: &mut FeatureEncoder,
    watch: &mut tune::Watch<'_>,
) -> Result<RunaLike> {
    let Source { config, data, words, .. } = source;
    let spec = *encoder.spec();
    let scene = |shot: &Shot| {
        let annotated = &data.pictures[shot.picture];
        let pixels = annotated.read()?;
        let rect = annotated.objects[shot.object].rect(pixels.width, pixels.height, &annotated.path)?;
        let frame = pixels.frame();
        Ok(Scenes::new(&frame, &Base::new(&frame, &spec)?, &spec)?.of(rect))
    };
    let scenes = encoder.encode_pictures(&shots.iter().map(scene).collect::<Result<Vec<_>>>()?)?;
    let mut both = crops.clone();
    for (mut crop, scene) in both.rows_mut().into_iter().zip(&scenes) {
        let fused = fused(&crop, &words.embedding(scene, None));
        crop.assign(&fused);
    }
    let scale = texts::logit_scale(&Weights::open_folder(&config.models.clip_dir())?)?;
    RunaLike::tune(&both, own, &words.vocabulary.text, scale, watch)
}
