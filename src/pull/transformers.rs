//! Repositories in the form of transformers: which of their files are needed, and which repositories are not taken.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{
    Watch,
    fault::shown,
    hub::{Fetched, Hub, Snapshot},
};
use crate::{
    Error, Result,
    models::{ClipConfig, Index, Tokenizer, read_text},
};

const CONFIG: &str = "config.json";
const PROCESSOR: &str = "preprocessor_config.json";
const CARD: &str = "README.md";
const WEIGHTS: &str = "model.safetensors";
const SHARDS: &str = "model.safetensors.index.json";

/// Weights that are pickled, by their usual names.
const PICKLED: [&str; 2] = ["pytorch_model.bin", "pytorch_model.bin.index.json"];

/// OpenCLIP's own files.
const OPEN_CLIP: [&str; 3] = ["open_clip_config.json", "open_clip_model.safetensors", "open_clip_pytorch_model.bin"];

/// Beside a tokenizer, where they are there.
const TOKENS: [&str; 2] = ["tokenizer_config.json", "special_tokens_map.json"];

/// The models that are taken, by what `config.json` calls them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Clip,
    Owlv2,
}

impl Kind {
    const fn model_type(self) -> &'static str {
        match self {
            Self::Clip => "clip",
            Self::Owlv2 => "owlv2",
        }
    }
}

/// Fetches all but the weights, and sees that it is what was wanted, with weights that can be read.
pub(super) fn describe(hub: &Hub, snapshot: &Snapshot, kind: Kind, watch: &mut Watch<'_>) -> Result<Vec<Fetched>> {
    let missing = |file: &str| snapshot.is_listed() && !snapshot.has(file);
    if missing(CONFIG) {
        let found = match OPEN_CLIP.into_iter().find(|file| snapshot.has(file)) {
            Some(file) => format!("an OpenCLIP model ({file} and no {CONFIG})"),
            None => format!("no {CONFIG}"),
        };
        return Err(not_taken(snapshot, &found, kind));
    }
    let config = hub.fetch(snapshot, CONFIG, watch)?;
    let found = model_type(&config)?;
    if found != kind.model_type() {
        return Err(not_taken(snapshot, &format!("a model of the type `{found}`"), kind));
    }
    if missing(WEIGHTS) && missing(SHARDS) {
        return Err(no_weights(hub, snapshot, kind));
    }
    let mut files = vec![config, hub.fetch(snapshot, PROCESSOR, watch)?];
    let tokenizer: &[&str] = if snapshot.has("tokenizer.json") { &["tokenizer.json"] } else { &["vocab.json", "merges.txt"] };
    // A detector's words are asked for by nobody; where they are there, they come along.
    let wanted = tokenizer.iter().filter(|file| kind == Kind::Clip || snapshot.has(file));
    for file in wanted.chain(TOKENS.iter().chain([&CARD]).filter(|file| snapshot.has(file))) {
        files.push(hub.fetch(snapshot, file, watch)?);
    }
    if kind == Kind::Clip {
        // Before the weights, which are a thousand times larger.
        let clip = ClipConfig::open(&snapshot.dir())?;
        Tokenizer::open(&snapshot.dir(), &clip.text)?;
    }
    Ok(files)
}

/// Fetches the weights, in one file or in shards.
pub(super) fn weights(hub: &Hub, snapshot: &Snapshot, watch: &mut Watch<'_>) -> Result<Vec<Fetched>> {
    if snapshot.has(WEIGHTS) || !snapshot.has(SHARDS) {
        return Ok(vec![hub.fetch(snapshot, WEIGHTS, watch)?]);
    }
    let index = hub.fetch(snapshot, SHARDS, watch)?;
    let shards = shards(&index)?;
    let mut files = vec![index];
    for shard in shards {
        files.push(hub.fetch(snapshot, &shard, watch)?);
    }
    Ok(files)
}

/// The licence that a repository's card names.
pub(super) fn licence(files: &[Fetched]) -> Option<String> {
    let card = files.iter().find(|file| file.name == CARD)?;
    licence_of(&read_text(&card.path).ok()?)
}

/// `license` of the front matter: a word, or the first of a list.
fn licence_of(card: &str) -> Option<String> {
    let mut lines = card.lines();
    lines.next().filter(|line| line.trim() == "---")?;
    let mut lines = lines.take_while(|line| line.trim() != "---");
    let value = lines.find_map(|line| line.strip_prefix("license:"))?.trim();
    let value = if value.is_empty() { lines.next()?.trim().strip_prefix('-')?.trim() } else { value };
    let value = shown(value.trim_matches(['"', '\'']));
    (!value.is_empty()).then_some(value)
}

/// The names of an index's shards, each a file beside it.
fn shards(index: &Fetched) -> Result<BTreeSet<String>> {
    let map = Index::open(&index.path)?;
    let shards = map.shards();
    let sound = |name: &str| {
        name.ends_with(".safetensors") && !name.starts_with('.') && name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
    };
    if let Some(name) = shards.iter().find(|name| !sound(name)) {
        return Err(Error::model_set(
            &index.path,
            "weight_map",
            format!("`{}`", shown(name)),
            "names of safetensors files beside the index",
        ));
    }
    Ok(shards.into_iter().map(str::to_owned).collect())
}

fn model_type(config: &Fetched) -> Result<String> {
    let text = read_text(&config.path)?;
    let config: Value = serde_json::from_str(&text).map_err(|error| Error::content(&config.path, format!("not JSON: {error}")))?;
    Ok(shown(config["model_type"].as_str().unwrap_or("none")))
}

fn not_taken(snapshot: &Snapshot, found: &str, kind: Kind) -> Error {
    let kind = kind.model_type();
    Error::Hub(format!(
        "{} holds {found}; taken are models of the type `{kind}` as transformers keeps them: {CONFIG}, {PROCESSOR}, a tokenizer and {WEIGHTS}",
        snapshot.repository
    ))
}

fn no_weights(hub: &Hub, snapshot: &Snapshot, kind: Kind) -> Error {
    let Snapshot { repository, revision, .. } = snapshot;
    match PICKLED.into_iter().find(|file| snapshot.has(file)) {
        Some(file) => Error::Hub(format!(
            "{repository} at {revision} has its weights as {file} alone, which may run code when it is read, so it is not read; name a revision \
             with {WEIGHTS} (--revision refs/pr/N: look for a conversion among {}/{repository}/discussions)",
            hub.endpoint()
        )),
        None => not_taken(snapshot, &format!("no {WEIGHTS}"), kind),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_cards_licence_is_that_of_its_front_matter() {
        for (card, wanted) in [
            ("---\nlicense: apache-2.0\ntags:\n- vision\n---\n# CLIP", Some("apache-2.0")),
            ("---\ntags: [a]\nlicense: \"mit\"\n---", Some("mit")),
            ("---\nlicense:\n- bsd-3-clause\n---", Some("bsd-3-clause")),
            ("---\ntags: a\n---\nlicense: mit", None),
            ("# CLIP\nlicense: mit", None),
            ("---\nlicense: \x1b[2Jmit\n---", Some("[2Jmit")),
            ("---\nlicense:\n---", None),
            ("", None),
        ] {
            assert_eq!(licence_of(card).as_deref(), wanted, "{card}");
        }
    }

    #[test]
    fn shards_lie_beside_their_index() {
        let dir = tempfile::tempdir().unwrap();
        let index = Fetched { name: SHARDS.to_owned(), path: dir.path().join(SHARDS) };
        let of = |name: &str| {
            fs::write(&index.path, serde_json::json!({"weight_map": {"a": name, "b": "model-2.safetensors"}}).to_string()).unwrap();
            shards(&index)
        };
        assert_eq!(of("model-1.safetensors").unwrap().into_iter().collect::<Vec<_>>(), ["model-1.safetensors", "model-2.safetensors"]);
        for name in ["../x.safetensors", "/etc/x.safetensors", "a\\b.safetensors", "..", "", "x.bin", "a?b.safetensors", ".safetensors"] {
            assert!(of(name).is_err(), "{name}");
        }
        fs::write(&index.path, r#"{"weight_map": {}}"#).unwrap();
        assert!(shards(&index).unwrap_err().to_string().contains("`weight_map` is empty"));
    }
}
