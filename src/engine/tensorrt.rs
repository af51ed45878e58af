//! TensorRT's engines: for which shapes one is made, where it is kept, and what is said while it is made.
//!
//! An engine is made for one model, one device and one driver, and takes minutes; what was made is found again by a key of all of these.

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use crossbeam_channel::{RecvTimeoutError, bounded};
use ort::{
    ep,
    value::{Outlet, ValueType},
};

use super::{EngineConfig, Precision};
use crate::{Error, Result, cache};

/// The most classes that an engine takes: every list that is changed to while it plays must fit.
const MOST_CLASSES: usize = 1000;

/// How often it is said that an engine is still being made.
const PATIENCE: Duration = Duration::from_secs(15);

/// From which to which size a dynamic side goes, and what it usually is: what the engine is fastest for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sizes {
    pub(super) usual: usize,
    pub(super) most: usize,
}

/// What a model is fed with under one name.
pub(super) struct Fed {
    name: String,
    sides: Vec<Side>,
}

/// A side of it.
enum Side {
    Is(usize),
    /// Dynamic, and what the model calls it.
    Any(String),
}

impl Fed {
    /// Of an input of a model.
    pub(super) fn of(outlet: &Outlet) -> Self {
        let sides = match outlet.dtype() {
            ValueType::Tensor { shape, dimension_symbols, .. } => shape
                .iter()
                .zip(dimension_symbols.iter())
                .map(|(&side, symbol)| usize::try_from(side).map_or_else(|_| Side::Any(symbol.clone()), Side::Is))
                .collect(),
            _ => Vec::new(),
        };
        Self { name: outlet.name().to_owned(), sides }
    }
}

/// What TensorRT is told of a model.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    /// Of sides by their names in the model.
    named: Vec<(&'static str, Sizes)>,
    /// Of a first side whatever its name is: frames in a run, or the names that an OWLv2 looks for.
    first: Option<Sizes>,
    fp16: bool,
    /// Whether a node that TensorRT and CUDA leave to the processor is an error.
    pub(super) whole: bool,
    cache: Option<PathBuf>,
}

impl Plan {
    /// Of the graph of pairs.
    pub(super) fn of_pairs(config: &EngineConfig) -> Self {
        let classes = config.models.manifest.classes.len();
        Self {
            named: vec![
                ("O", Sizes { usual: config.batch_size, most: config.batch_size }),
                ("C", Sizes { usual: classes, most: MOST_CLASSES.max(classes) }),
            ],
            first: None,
            fp16: config.precision == Precision::Fp16,
            whole: true,
            cache: config.cache_dir.clone(),
        }
    }

    /// Of a detector whose dynamic first sides are of so many at the most: frames, or the names that an OWLv2 looks for.
    pub(super) fn of_detector(config: &EngineConfig, most: usize) -> Self {
        let first = Some(Sizes { usual: most, most });
        Self { named: Vec::new(), first, fp16: false, whole: false, cache: config.cache_dir.clone() }
    }

    fn sizes(&self, symbol: &str, position: usize) -> Option<Sizes> {
        let named = self.named.iter().find(|(name, _)| *name == symbol).map(|(_, sizes)| *sizes);
        named.or(self.first.filter(|_| position == 0))
    }

    /// The shapes of all inputs as ONNX Runtime reads them, `name:1x3x224x224,…`: the least, the usual, the most. `None` where nothing is dynamic, or where
    /// a dynamic side is none that is known here: then the engine is made of what comes, and anew where that does not fit.
    fn profile(&self, inputs: &[Fed]) -> Option<[String; 3]> {
        if inputs.iter().flat_map(|input| &input.sides).all(|side| matches!(side, Side::Is(_))) {
            return None;
        }
        let of = |pick: fn(Sizes) -> usize| {
            let shapes = inputs.iter().map(|input| {
                let sides = input.sides.iter().enumerate().map(|(position, side)| match side {
                    Side::Is(side) => Some(side.to_string()),
                    Side::Any(symbol) => self.sizes(symbol, position).map(|sizes| pick(sizes).to_string()),
                });
                Some(format!("{}:{}", input.name, sides.collect::<Option<Vec<_>>>()?.join("x")))
            });
            Some(shapes.collect::<Option<Vec<_>>>()?.join(","))
        };
        Some([of(|_| 1)?, of(|sizes| sizes.usual)?, of(|sizes| sizes.most)?])
    }

    /// The provider for a model with these inputs, and its engine's folder.
    ///
    /// # Errors
    /// [`Error::File`] where the model cannot be read or the cache cannot be written, [`Error::Setting`] where there is no cache.
    pub(super) fn provider(&self, index: u32, stage: &str, model: &Path, inputs: &[Fed]) -> Result<(ep::TensorRT, PathBuf)> {
        let profile = self.profile(inputs);
        let machine = hardware(Path::new("/proc/driver/nvidia"));
        let key = self.key(model, profile.as_ref(), &machine)?;
        let root = cache::root(self.cache.as_deref())?.join("tensorrt");
        let (folder, timing) = (root.join(format!("{stage}-{key}")), root.join(format!("timing-{}", short(machine.as_bytes()))));
        for folder in [&folder, &timing] {
            fs::create_dir_all(folder).map_err(Error::file("write", folder))?;
        }
        let mut provider = ep::TensorRT::default()
            .with_device_id(index.cast_signed())
            .with_engine_cache(true)
            .with_engine_cache_path(folder.display())
            .with_timing_cache(true)
            .with_timing_cache_path(timing.display());
        if self.fp16 {
            // Sums over a row of hidden states do not fit 16 bits.
            provider = provider.with_fp16(true).with_layer_norm_fp32_fallback(true);
        }
        if let Some([least, usual, most]) = profile {
            provider = provider.with_profile_min_shapes(least).with_profile_opt_shapes(usual).with_profile_max_shapes(most);
        }
        Ok((provider, folder))
    }

    /// What an engine is good for: this model, in these numbers, for these shapes, on this machine.
    fn key(&self, model: &Path, profile: Option<&[String; 3]>, machine: &str) -> Result<String> {
        let mut hasher = blake3::Hasher::new();
        fs::File::open(model).and_then(|file| hasher.update_reader(file).map(drop)).map_err(Error::file("read", model))?;
        // A graph's weights lie beside it, in a folder that is named after its sources.
        for text in [&model.display().to_string(), machine, &format!("{profile:?} {}", self.fp16)] {
            hasher.update(&(text.len() as u64).to_le_bytes()).update(text.as_bytes());
        }
        Ok(hasher.finalize().to_hex()[..32].to_owned())
    }
}

/// The driver and the devices of this machine, in the driver's own words; empty without one.
fn hardware(driver: &Path) -> String {
    let mut files: Vec<PathBuf> =
        fs::read_dir(driver.join("gpus")).into_iter().flatten().flatten().map(|gpu| gpu.path().join("information")).collect();
    files.sort();
    files.insert(0, driver.join("version"));
    // Of a device its model alone: which number its bus has, and its state, do not matter.
    let said: String = files.iter().filter_map(|file| fs::read_to_string(file).ok()).collect();
    let lines: Vec<&str> = said.lines().filter(|line| line.starts_with("NVRM") || line.starts_with("Model:")).collect();
    lines.join("\n")
}

fn short(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex()[..16].to_owned()
}

/// Loads a model whose engine is, or will be, in `folder`; where it must be made first, that is said, and again while it takes.
pub(super) fn patiently<T>(stage: &str, folder: &Path, load: impl FnOnce() -> T) -> T {
    let made =
        fs::read_dir(folder).is_ok_and(|files| files.flatten().any(|file| file.path().extension().is_some_and(|kind| kind == "engine")));
    if made {
        return load();
    }
    tracing::warn!("TensorRT makes the engine of {stage}: minutes, once for this model, device and driver; kept in {}", folder.display());
    let (done, waits) = bounded::<()>(0);
    let started = Instant::now();
    let loaded = thread::scope(|scope| {
        let told = thread::Builder::new().name("tensorrt".to_owned()).spawn_scoped(scope, || {
            while waits.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
                tracing::warn!("TensorRT still makes the engine of {stage}, since {} s", started.elapsed().as_secs());
            }
        });
        // Who cannot be told waits all the same.
        if let Err(error) = told {
            tracing::debug!(%error, "no thread to tell of it");
        }
        let loaded = load();
        drop(done);
        loaded
    });
    tracing::warn!("TensorRT's engine of {stage}: {:.0} s", started.elapsed().as_secs_f32());
    loaded
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `O,224,3`: what is no number is dynamic.
    fn fed(name: &str, sides: &str) -> Fed {
        let side = |text: &str| text.parse().map_or_else(|_| Side::Any(text.to_owned()), Side::Is);
        Fed { name: name.to_owned(), sides: sides.split(',').map(side).collect() }
    }

    fn plan(fp16: bool) -> Plan {
        let named = vec![("O", Sizes { usual: 16, most: 16 }), ("C", Sizes { usual: 10, most: MOST_CLASSES })];
        Plan { named, first: None, fp16, whole: true, cache: None }
    }

    fn pairs() -> [Fed; 2] {
        [fed("target", "O,224,224,3"), fed("text", "C,512")]
    }

    #[test]
    fn shapes_go_from_one_to_the_most_that_settings_allow() {
        let [least, usual, most] = plan(false).profile(&pairs()).unwrap();
        assert_eq!(least, "target:1x224x224x3,text:1x512");
        assert_eq!(usual, "target:16x224x224x3,text:10x512");
        assert_eq!(most, "target:16x224x224x3,text:1000x512");
        let frames = Plan { named: Vec::new(), first: Some(Sizes { usual: 8, most: 8 }), ..plan(false) };
        let images = [fed("images", "batch,3,640,640")];
        assert_eq!(frames.profile(&images).unwrap()[2], "images:8x3x640x640");
    }

    #[test]
    fn what_is_fixed_and_what_is_not_known_has_no_shapes() {
        assert_eq!(plan(false).profile(&[fed("images", "1,3,640,640")]), None);
        assert_eq!(plan(false).profile(&[fed("images", "1,3,height,width")]), None);
    }

    #[test]
    fn an_engine_is_of_one_model_one_precision_one_driver_and_one_kind_of_device() {
        let dir = tempfile::tempdir().unwrap();
        let model = dir.path().join("graph.onnx");
        fs::write(&model, "one").unwrap();
        let profile = plan(false).profile(&pairs());
        let first = plan(false).key(&model, profile.as_ref(), "driver 1").unwrap();
        assert_eq!(first, plan(false).key(&model, profile.as_ref(), "driver 1").unwrap());
        let driver = plan(false).key(&model, profile.as_ref(), "driver 2").unwrap();
        let halved = plan(true).key(&model, profile.as_ref(), "driver 1").unwrap();
        let open = plan(false).key(&model, None, "driver 1").unwrap();
        fs::write(&model, "two").unwrap();
        let other = plan(false).key(&model, profile.as_ref(), "driver 1").unwrap();
        let mut keys = vec![first, driver, halved, open, other];
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), 5);
    }

    #[test]
    fn a_machine_is_its_driver_and_the_models_of_its_devices() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(hardware(dir.path()), "");
        let gpu = dir.path().join("gpus/0000:17:00.0");
        fs::create_dir_all(&gpu).unwrap();
        fs::write(dir.path().join("version"), "NVRM version: 570.86\nGCC version: 12\n").unwrap();
        fs::write(gpu.join("information"), "Model: \t NVIDIA H200\nIRQ: 17\n").unwrap();
        assert_eq!(hardware(dir.path()), "NVRM version: 570.86\nModel: \t NVIDIA H200");
    }

    #[test]
    fn engines_and_timings_have_folders_in_the_cache() {
        let dir = tempfile::tempdir().unwrap();
        let model = dir.path().join("graph.onnx");
        fs::write(&model, "one").unwrap();
        let plan = Plan { cache: Some(dir.path().join("cache")), ..plan(true) };
        let (_, folder) = plan.provider(0, "encode", &model, &pairs()).unwrap();
        assert!(folder.is_dir() && folder.starts_with(dir.path().join("cache/tensorrt")), "{}", folder.display());
        assert_eq!(fs::read_dir(dir.path().join("cache/tensorrt")).unwrap().count(), 2);
    }

    #[test]
    fn a_model_is_loaded_whether_its_engine_is_there_or_not() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(patiently("encode", dir.path(), || 7), 7);
        fs::write(dir.path().join("of.engine"), "").unwrap();
        assert_eq!(patiently("encode", dir.path(), || 8), 8);
    }
}
