//! A CLIP folder's tokenizer files, brought to the form of `tokenizer.json`.

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::{Error, Result, models::read_text};

/// What a CLIP folder that does not name its special tokens means by them.
const START: &str = "<|startoftext|>";
const END: &str = "<|endoftext|>";

/// The folder's tokenizer as `tokenizer.json` says it, and the file it came from; without a decoder, which turns ids back into text.
pub(super) fn pipeline(dir: &Path, special: &SpecialTokens) -> Result<(PathBuf, Value)> {
    let path = dir.join("tokenizer.json");
    if !path.exists() {
        return Ok((dir.join("vocab.json"), from_vocab_and_merges(dir, special)?));
    }
    let mut pipeline: Map<String, Value> = read_json(&path, "a tokenizer")?;
    // Nobody asks for it, and the tokenizers crate panics on one that it does not know.
    pipeline.remove("decoder");
    Ok((path, Value::Object(pipeline)))
}

fn read_json<T: DeserializeOwned>(path: &Path, wanted: &str) -> Result<T> {
    let text = read_text(path)?;
    serde_json::from_str(&text).map_err(|error| Error::content(path, format!("not {wanted}: {error}; fetch the CLIP folder again")))
}

/// The tokens with a role.
pub(super) struct SpecialTokens {
    pub(super) bos: String,
    pub(super) eos: String,
    pub(super) pad: String,
    pub(super) unk: String,
}

impl SpecialTokens {
    /// As `tokenizer_config.json` says, else `special_tokens_map.json`, else CLIP's own.
    pub(super) fn read(dir: &Path) -> Result<Self> {
        let mut files = Vec::new();
        for name in ["tokenizer_config.json", "special_tokens_map.json"] {
            let path = dir.join(name);
            if path.exists() {
                files.push(read_json::<Value>(&path, "JSON")?);
            }
        }
        // A token stands there as a string, or as an object with its `content`.
        let token = |key: &str, default: &str| {
            let named =
                files.iter().filter_map(|file| file.get(key)).find_map(|token| token.as_str().or_else(|| token.get("content")?.as_str()));
            named.unwrap_or(default).to_owned()
        };
        Ok(Self {
            bos: token("bos_token", START),
            eos: token("eos_token", END),
            pad: token("pad_token", END),
            unk: token("unk_token", END),
        })
    }
}

/// What `tokenizer.json` would say, from `vocab.json` and `merges.txt`: the pipeline of transformers' `CLIPTokenizer`.
fn from_vocab_and_merges(dir: &Path, special: &SpecialTokens) -> Result<Value> {
    let (vocab_path, merges_path) = (dir.join("vocab.json"), dir.join("merges.txt"));
    let vocab: Map<String, Value> = read_json(&vocab_path, "a map from token to id")?;
    let text = read_text(&merges_path)?;
    let mut merges = Vec::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.starts_with("#version") && !line.is_empty()) {
        let pair = line.split_once(' ').ok_or_else(|| {
            Error::content(&merges_path, format!("line {} is `{line}`; wanted two parts with a space between", number + 1))
        })?;
        merges.push(json!([pair.0, pair.1]));
    }
    let id = |token: &str| {
        vocab
            .get(token)
            .and_then(Value::as_u64)
            .ok_or_else(|| Error::model_set(&vocab_path, token, "missing", "a token of the vocabulary with its id"))
    };
    let (bos, eos) = (id(&special.bos)?, id(&special.eos)?);
    let mut added: Vec<(u64, &str)> = Vec::new();
    for token in [&special.bos, &special.eos, &special.pad, &special.unk] {
        let entry = (id(token)?, token.as_str());
        if !added.contains(&entry) {
            added.push(entry);
        }
    }
    added.sort_unstable();
    let added: Vec<Value> = added
        .into_iter()
        .map(|(id, content)| {
            json!({"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true})
        })
        .collect();
    Ok(json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": added,
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "NFC"},
            {"type": "Replace", "pattern": {"Regex": r"\s+"}, "content": " "},
            {"type": "Lowercase"},
        ]},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {
                "type": "Split",
                "pattern": {"Regex": r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"},
                "behavior": "Removed",
                "invert": true,
            },
            {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
        ]},
        "post_processor": {
            "type": "RobertaProcessing",
            "sep": [special.eos, eos],
            "cls": [special.bos, bos],
            "trim_offsets": false,
            "add_prefix_space": false,
        },
        "model": {
            "type": "BPE",
            "dropout": null,
            "unk_token": special.unk,
            "continuing_subword_prefix": "",
            "end_of_word_suffix": "</w>",
            "fuse_unk": false,
            "byte_fallback": false,
            "ignore_merges": false,
            "vocab": vocab,
            "merges": merges,
        },
    }))
}
