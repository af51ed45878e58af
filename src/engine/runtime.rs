//! ONNX Runtime in this process: its library is found and loaded once, one environment, its log goes to `tracing`.

use std::{
    env, fs, iter,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use ort::{LoadDynamicError, environment::Environment, logging::LogLevel};
use tracing::level_filters::LevelFilter;

use crate::{Error, Result, cache::user_cache};

/// The variable that names the library; nothing else is tried where it is set.
pub const LIBRARY_VARIABLE: &str = "ORT_DYLIB_PATH";

/// What was loaded.
#[derive(Debug)]
pub struct Runtime {
    environment: Environment,
    library: PathBuf,
}

static RUNTIME: OnceLock<Runtime> = OnceLock::new();

impl Runtime {
    /// Loads the library at the first call; later calls return the same.
    ///
    /// It is looked for in `ORT_DYLIB_PATH` (then nowhere else), beside the executable, in `../lib` of it,
    /// in the user's cache (`uniood/onnxruntime`), and where the system's loader looks.
    ///
    /// # Errors
    /// [`Error::Runtime`] where it is missing or too old. A later call looks again.
    pub fn get() -> Result<&'static Self> {
        static LOADING: Mutex<()> = Mutex::new(());
        if let Some(runtime) = RUNTIME.get() {
            return Ok(runtime);
        }
        let _one_at_a_time = LOADING.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(runtime) = RUNTIME.get() {
            return Ok(runtime);
        }
        let runtime = Self::load()?;
        Ok(RUNTIME.get_or_init(|| runtime))
    }

    /// The library file that was loaded (a bare name where the system's loader found it).
    #[must_use]
    pub fn library(&self) -> &Path {
        &self.library
    }

    /// ONNX Runtime's own words on version and build.
    #[must_use]
    pub fn build(&self) -> &'static str {
        ort::info()
    }

    pub(super) const fn environment(&self) -> &Environment {
        &self.environment
    }

    fn load() -> Result<Self> {
        let named = env::var_os(LIBRARY_VARIABLE).filter(|value| !value.is_empty()).map(|value| from_here(PathBuf::from(value)));
        let is_named = named.is_some();
        let candidates = named.map_or_else(|| beside_and_cached().chain(system_names()).collect(), |path| vec![path]);
        let mut refusal = None;
        for library in candidates {
            match ort::init_from(&library) {
                Ok(builder) => {
                    let environment = builder
                        .with_name("uniood")
                        .with_telemetry(false)
                        .with_logger(Arc::new(log))
                        .build()
                        .map_err(|error| Error::Runtime(format!("{} would not start: {error}", library.display())))?;
                    environment.set_log_level(wanted_level());
                    return Ok(Self { environment, library });
                }
                Err(LoadDynamicError::Dlopen { .. }) if !is_named => {}
                Err(LoadDynamicError::Dlopen { path, .. }) => {
                    refusal = Some(format!("{LIBRARY_VARIABLE} names {}, which cannot be loaded; {REMEDY}", path.display()));
                }
                Err(LoadDynamicError::BadVersion { version_str, path }) => {
                    refusal.get_or_insert_with(|| {
                        format!("{} is version {version_str}, older than 1.{}; {REMEDY}", path.display(), ort::MINOR_VERSION)
                    });
                }
                Err(error) => {
                    refusal.get_or_insert_with(|| format!("{error}; {REMEDY}"));
                }
            }
        }
        let missing = || format!("its library was not found beside this program, in the cache or on the system; {REMEDY}");
        Err(Error::Runtime(refusal.unwrap_or_else(missing)))
    }
}

/// A relative path counts from the working folder, a bare name is the loader's.
fn from_here(path: PathBuf) -> PathBuf {
    if path.components().count() < 2 { path } else { std::path::absolute(&path).unwrap_or(path) }
}

const REMEDY: &str = "run `make setup`, or `pip install onnxruntime` and set ORT_DYLIB_PATH to its capi/libonnxruntime.so file";

/// Library files in the folders where this project's own installation puts them.
fn beside_and_cached() -> impl Iterator<Item = PathBuf> {
    let beside = env::current_exe().ok().and_then(|exe| exe.canonicalize().ok()).and_then(|exe| exe.parent().map(Path::to_owned));
    let lib = beside.as_ref().and_then(|dir| dir.parent()).map(|prefix| prefix.join("lib"));
    let cache = user_cache().map(|dir| dir.join("onnxruntime"));
    [beside, lib, cache].into_iter().flatten().flat_map(|dir| libraries_in(&dir))
}

/// `libonnxruntime.so` and its versioned names in a folder, the newest name first.
fn libraries_in(dir: &Path) -> Vec<PathBuf> {
    let plain = format!("{}onnxruntime{}", env::consts::DLL_PREFIX, env::consts::DLL_SUFFIX);
    let versioned = format!("{plain}.");
    let mut found: Vec<PathBuf> = fs::read_dir(dir)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.file_name().to_str().is_some_and(|name| name == plain || name.starts_with(&versioned)))
        .map(|entry| entry.path())
        .collect();
    found.sort();
    found.reverse();
    found
}

/// Names that the system's loader resolves.
fn system_names() -> impl Iterator<Item = PathBuf> {
    let plain = format!("{}onnxruntime{}", env::consts::DLL_PREFIX, env::consts::DLL_SUFFIX);
    let versioned = format!("{plain}.1");
    iter::once(plain).chain(iter::once(versioned)).map(PathBuf::from)
}

/// ONNX Runtime formats every message of its level, so it is told what `tracing` will drop anyway.
fn wanted_level() -> LogLevel {
    match LevelFilter::current() {
        LevelFilter::OFF => LogLevel::Fatal,
        LevelFilter::ERROR => LogLevel::Error,
        LevelFilter::TRACE => LogLevel::Verbose,
        _ => LogLevel::Warning,
    }
}

fn log(level: LogLevel, category: &str, _id: &str, location: &str, message: &str) {
    match level {
        LogLevel::Verbose => tracing::trace!(target: "onnxruntime", category, location, "{message}"),
        LogLevel::Info => tracing::debug!(target: "onnxruntime", category, location, "{message}"),
        LogLevel::Warning => tracing::warn!(target: "onnxruntime", category, location, "{message}"),
        LogLevel::Error | LogLevel::Fatal => tracing::error!(target: "onnxruntime", category, location, "{message}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versioned_library_names_are_found_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["libonnxruntime.so.1.32.0", "libonnxruntime.so", "libonnxruntime_providers_shared.so", "readme"] {
            fs::write(dir.path().join(name), b"").unwrap();
        }
        let names: Vec<_> = libraries_in(dir.path()).iter().map(|path| path.file_name().unwrap().to_owned()).collect();
        assert_eq!(names, ["libonnxruntime.so.1.32.0", "libonnxruntime.so"]);
        assert!(libraries_in(&dir.path().join("none")).is_empty());
    }
}
