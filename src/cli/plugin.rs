//! Finds the element `unioodfilter`: as any GStreamer program does, and besides next to this program.

use std::{fmt, path::PathBuf};

use anyhow::{Context, Result, bail};

/// Where the plugin came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// GStreamer's own search: `GST_PLUGIN_PATH` or the system's folders.
    Search(PathBuf),
    /// The folder of this program.
    Beside(PathBuf),
}

/// Starts GStreamer and makes the element known.
pub(crate) fn load() -> Result<Origin> {
    gst::init().context("GStreamer does not start")?;
    if let Some(plugin) = gst::Registry::get().find_plugin("uniood") {
        return Ok(Origin::Search(plugin.filename().unwrap_or_default()));
    }
    let name = format!("{}gstuniood{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    let program = std::env::current_exe().and_then(|program| program.canonicalize()).context("cannot find this program's own folder")?;
    let beside = program.with_file_name(&name);
    if !beside.exists() {
        bail!("the GStreamer plugin {name} was not found; run `make build`, or set GST_PLUGIN_PATH to its folder");
    }
    gst::Plugin::load_file(&beside).with_context(|| format!("{} cannot be loaded", beside.display()))?;
    Ok(Origin::Beside(beside))
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Search(path) => write!(f, "{} (GStreamer's search)", path.display()),
            Self::Beside(path) => write!(f, "{} (beside this program)", path.display()),
        }
    }
}
