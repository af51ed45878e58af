//! Engines that are shared under a name, as far as somebody has them: `model-instance-id`.

use std::{
    collections::HashMap,
    fs,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use super::{DetectorChoice, Engine, EngineConfig};
use crate::{Error, Result};

/// Lock order: `INSTANCES`, then an instance that nobody else has. An instance is locked while its engine is opened, so
/// that whoever else wants it waits for it, and who wants another does not.
static INSTANCES: Mutex<Option<HashMap<String, Arc<Mutex<Instance>>>>> = Mutex::new(None);

/// What a name stands for.
#[derive(Default)]
struct Instance {
    engine: Weak<Engine>,
    /// Who opened it.
    by: String,
}

impl Engine {
    /// The engine that is shared in this process under `id`, opened where nobody has it, or where a worker of it died.
    /// `by` is what the one who asks is called in messages.
    ///
    /// # Errors
    /// [`Error::Setting`] where it was opened with other settings; else as [`Engine::open`].
    pub fn shared(id: &str, by: &str, config: &EngineConfig) -> Result<Arc<Self>> {
        let instance = instance(id);
        let mut instance = lock(&instance);
        if let Some(engine) = instance.engine.upgrade().filter(|engine| !engine.is_broken()) {
            return match difference(config, &engine.config) {
                None => Ok(engine),
                Some((name, ours, theirs)) => Err(Error::Setting(format!(
                    "model-instance-id `{id}`: {name} is {ours} in `{by}` and {theirs} in `{}`, which opened it; give both the same {name}, or another id",
                    instance.by
                ))),
            };
        }
        let engine = Self::open(config)?;
        *instance = Instance { engine: Arc::downgrade(&engine), by: by.to_owned() };
        Ok(engine)
    }
}

/// The instance of that name; names that nobody has an engine of are forgotten.
fn instance(id: &str) -> Arc<Mutex<Instance>> {
    let mut instances = lock(&INSTANCES);
    let instances = instances.get_or_insert_default();
    instances.retain(|_, instance| Arc::strong_count(instance) > 1 || lock(instance).engine.strong_count() > 0);
    Arc::clone(instances.entry(id.to_owned()).or_default())
}

/// The first setting that differs: its name, and both values.
fn difference(ours: &EngineConfig, theirs: &EngineConfig) -> Option<(&'static str, String, String)> {
    let mut pairs = named(ours).into_iter().zip(named(theirs));
    pairs.find_map(|((name, ours), (_, theirs))| (ours != theirs).then_some((name, ours, theirs)))
}

/// What an engine is made of, in the words of the element's properties.
fn named(config: &EngineConfig) -> [(&'static str, String); 10] {
    let path = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_owned()).display().to_string();
    let threads = |number: Option<usize>| number.map_or_else(|| "one a core".to_owned(), |number| number.to_string());
    let detector = match &config.detector {
        DetectorChoice::Set => "the set's".to_owned(),
        DetectorChoice::File(file) => path(file),
        DetectorChoice::Upstream => "upstream".to_owned(),
        DetectorChoice::Frame => "frame".to_owned(),
    };
    [
        ("model-dir", path(&config.models.dir)),
        ("detector", detector),
        ("device", config.device.to_string()),
        ("precision", config.precision.to_string()),
        ("batch-size", config.batch_size.to_string()),
        ("batch-timeout", config.batch_timeout.map_or_else(|| "-1".to_owned(), |timeout| timeout.as_millis().to_string())),
        ("model-cache-dir", config.cache_dir.as_deref().map_or_else(|| "the user's cache".to_owned(), path)),
        ("encoder-threads", threads(config.encoder_threads())),
        ("encoder-sessions", config.encoder_sessions().to_string()),
        ("detector-threads", threads(config.detector_threads())),
    ]
}

/// What the locks guard is whole after every statement.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
