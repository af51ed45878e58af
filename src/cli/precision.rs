//! What a precision costs a set, and whether that is too much: omega against fp32 on rendered streets, AUROC on labelled pictures.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, Result, bail};
use clap::Args;
use street_world::film;
use uniood::{
    data::Faults,
    detect::{Detection, Selection},
    engine::{Approximation, Boxes, DetectorChoice, Device, Engine, EngineConfig, FrameSettings, Job, Precision, Scope, no_abort},
    eval::{Request, methods::Method, open_world},
    frame::Picture,
    geometry::BBox,
    models::ModelSet,
    verdict::{Scored, Verdict},
};

use crate::{console, labelled, shown::evaluate_each};

/// How far omega may be from that of fp32, on the mean.
const MOST_DEVIATION: f32 = 5e-3;

/// How much AUROC may be lost, in points.
const MOST_POINTS: f64 = 0.5;

/// Scenes of the street world that every check renders.
const SCENES: std::ops::Range<u64> = 8100..8104;

/// A precision, and what it may cost.
#[derive(Args)]
pub(crate) struct Guarded {
    /// What the image graph computes in: fp32, int8 (on a processor) or bf16 (in OpenVINO on a processor that has it)
    #[arg(long, default_value_t = Precision::Auto)]
    pub(crate) precision: Precision,
    /// Labelled pictures with known and unknown things, as for `eval --open-world`: a precision that costs more than half a point of AUROC there is refused
    #[arg(long, value_name = "DATA", requires = "precision")]
    pub(crate) data: Option<PathBuf>,
    /// Folder of a COCO file's pictures where it is none of the usual ones
    #[arg(long, value_name = "DIR", requires = "data")]
    images: Option<PathBuf>,
    /// Take a precision that costs too much
    #[arg(long, requires = "precision")]
    force: bool,
    /// Where built graphs and CLIP's outputs are kept [default: the user's cache]
    #[arg(long, value_name = "DIR")]
    model_cache_dir: Option<PathBuf>,
}

impl Guarded {
    /// Omega in this precision beside that of fp32.
    ///
    /// # Errors
    /// Where it is too far off, unless that was asked for.
    pub(crate) fn check_omega(&self, set: &ModelSet) -> Result<String> {
        let scenes = SCENES.map(rendered).collect::<Result<Vec<_>>>()?;
        let [wanted, found] = [Precision::Fp32, self.precision].map(|precision| {
            let engine = Engine::open(&EngineConfig { detector: DetectorChoice::Upstream, ..self.engine(set, precision) })?;
            let settings = settings(&engine)?;
            scenes.iter().map(|(picture, boxes)| omegas(&engine, &settings, picture, boxes)).collect::<Result<Vec<_>>>()
        });
        let [wanted, found] = [wanted?.concat(), found?.concat()];
        let differences: Vec<f32> =
            wanted.iter().flatten().zip(found.iter().flatten()).map(|(wanted, found)| (wanted - found).abs()).collect();
        let most = differences.iter().copied().fold(0.0, f32::max);
        #[expect(clippy::cast_precision_loss, reason = "some hundred numbers")]
        let mean = differences.iter().sum::<f32>() / differences.len() as f32;
        let (precision, objects, classes) = (self.precision, wanted.len(), set.manifest.classes.len());
        let said = format!(
            "{precision}: omega is {mean:.1e} off fp32 on the mean and {most:.1e} at most ({objects} objects of rendered streets, {classes} classes)"
        );
        // Not the other way round: a mean that is no number is too far off.
        if mean <= MOST_DEVIATION {
            return Ok(said);
        }
        self.refuse(&format!("{said}, more than {MOST_DEVIATION:.0e} on the mean"))?;
        Ok(said)
    }

    /// AUROC in this precision beside that of fp32 on the labelled pictures; `None` where there are none, or the user interrupted it.
    ///
    /// # Errors
    /// Where too much is lost, unless that was asked for.
    pub(crate) fn check_auroc(&self, set: &ModelSet) -> Result<Option<String>> {
        let Some(data) = &self.data else { return Ok(None) };
        let classes = &set.manifest.classes;
        let mut faults = Faults::default();
        let parts = open_world(labelled::open(data, self.images.as_deref(), classes, &mut faults)?, classes)?;
        let request = Request::new(parts, classes.clone(), Method::Uniood);
        let configs = [Precision::Fp32, self.precision].map(|precision| self.engine(set, precision));
        let Some(evaluations) = evaluate_each(&configs, &request, &mut faults)? else { return Ok(None) };
        let points = |index: usize| -> Result<f64> {
            let rows = evaluations[index].rows(&request.parts, 0)?;
            Ok(rows.first().context("a method has a row")?.metrics.auroc * 100.0)
        };
        let (fp32, own) = (points(0)?, points(1)?);
        let (precision, change) = (self.precision, own - fp32);
        let objects = evaluations[0].runs.iter().map(|run| run.objects.len()).sum::<usize>();
        let said = format!(
            "{precision}: AUROC is {own:.2} where fp32 has {fp32:.2}, {change:+.2} points ({objects} objects of {})",
            data.display()
        );
        if change >= -MOST_POINTS {
            return Ok(Some(said));
        }
        self.refuse(&format!("{said}, a loss of more than {MOST_POINTS} points"))?;
        Ok(Some(said))
    }

    fn refuse(&self, sentence: &str) -> Result<()> {
        if self.force {
            console::note(format_args!("{sentence}; taken all the same (--force)"));
            return Ok(());
        }
        bail!("{sentence}; use fp32, or --force to take it all the same")
    }

    /// Where it runs: on the processor, in OpenVINO where the precision wants it.
    pub(crate) fn device(&self) -> Device {
        if self.precision == Precision::Bf16 { Device::openvino("CPU") } else { Device::Cpu }
    }

    fn engine(&self, set: &ModelSet, precision: Precision) -> EngineConfig {
        EngineConfig {
            models: set.clone(),
            detector: DetectorChoice::Set,
            device: self.device(),
            precision,
            batch_size: 8,
            batch_timeout: None,
            cache_dir: self.model_cache_dir.clone(),
            threads: None,
        }
    }

    /// The folder of built graphs, where one is named.
    pub(crate) fn cache_dir(&self) -> Option<&Path> {
        self.model_cache_dir.as_deref()
    }
}

/// A scene and what is to be seen in it.
fn rendered(seed: u64) -> Result<(Arc<Picture>, Vec<BBox>)> {
    let frame = film::still(&film::Settings { seed, ..film::Settings::default() })?;
    let seen = frame.truth.objects.iter().filter(|object| !object.ignore()).filter_map(|object| object.seen);
    #[expect(clippy::cast_precision_loss, reason = "a picture is far below 2^24 pixels a side")]
    let boxes = seen.map(|area| BBox {
        x: area.left as f32,
        y: area.top as f32,
        w: (area.right - area.left) as f32,
        h: (area.bottom - area.top) as f32,
    });
    let boxes = boxes.collect();
    let street_world::picture::Picture { width, height, rgb } = frame.picture;
    Ok((Arc::new(Picture { width, height, rgb }), boxes))
}

/// Settings under which every object answers with the omega of every class.
pub(crate) fn settings(engine: &Engine) -> Result<Arc<FrameSettings>> {
    let manifest = &engine.models().manifest;
    Ok(Arc::new(FrameSettings {
        vocabulary: engine.vocabulary(&manifest.classes)?,
        threshold: manifest.threshold,
        calibration: None,
        selection: Selection { max_objects: usize::MAX, ..Selection::default() },
        scope: Scope::Object,
        keep_scores: true,
        approximation: Approximation::default(),
    }))
}

/// Omega of every class for every box.
pub(crate) fn omegas(engine: &Arc<Engine>, settings: &Arc<FrameSettings>, picture: &Arc<Picture>, boxes: &[BBox]) -> Result<Vec<Vec<f32>>> {
    let detections = boxes.iter().map(|bbox| Detection { bbox: *bbox, confidence: 1.0, label: None }).collect();
    let job = Job { frame: Arc::clone(picture) as _, boxes: Boxes::Given(detections), settings: Arc::clone(settings), tracks: None };
    let stream = engine.stream();
    let ticket = stream.submit(job, &no_abort()).map_err(|_| anyhow::anyhow!("the engine was closed"))?;
    stream.flush();
    let answer = ticket.wait()?;
    if let Some(error) = answer.error {
        bail!("{error}");
    }
    let all = answer.objects.into_iter().map(|object| match object.verdict {
        Verdict::Scored(Scored { omegas: Some(omegas), .. }) => Ok(omegas.into_iter().map(|(_, omega)| omega).collect()),
        _ => bail!("an object was not scored"),
    });
    all.collect()
}
