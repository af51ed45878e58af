//! CLIP's tokenizer: prompts to token ids, exactly as transformers' `CLIPTokenizer` makes them.
//!
//! Byte-level BPE over NFC-normalised, lower-cased words, start and end token around, padded to the text
//! tower's length. Read from `tokenizer.json`, or from `vocab.json` and `merges.txt` where there is none.

use std::{
    fs,
    path::{Path, PathBuf},
};

use ndarray::{Array1, Array2, ArrayRef1};
use serde_json::{Value, json};

use super::TextConfig;
use crate::{Error, Result};

/// What a CLIP folder that does not name its special tokens means by them.
const START: &str = "<|startoftext|>";
const END: &str = "<|endoftext|>";

/// A CLIP folder's tokenizer, with the length and the end token of its text tower.
#[derive(Debug, Clone)]
pub struct Tokenizer {
    path: PathBuf,
    bpe: tokenizers::Tokenizer,
    pad: i64,
    length: usize,
    eos: i64,
    vocab_size: usize,
}

/// Prompts as the text tower takes them: B of them, T = `max_position_embeddings`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tokens {
    /// Token ids, padded, `[B, T]`.
    pub input_ids: Array2<i64>,
    /// Where each prompt's summary token stands, `[B]`.
    pub eot: Array1<i64>,
}

impl Tokenizer {
    /// Reads the tokenizer of a CLIP folder.
    ///
    /// # Errors
    /// [`Error::File`] where files are missing, [`Error::Content`] where they are no tokenizer, [`Error::ModelSet`] where it is not this text tower's.
    pub fn open(dir: &Path, config: &TextConfig) -> Result<Self> {
        let json = dir.join("tokenizer.json");
        let special = SpecialTokens::read(dir)?;
        let (path, text) = if json.exists() {
            let text = fs::read_to_string(&json).map_err(Error::file("read", &json))?;
            (json, text)
        } else {
            (dir.join("vocab.json"), from_vocab_and_merges(dir, &special)?.to_string())
        };
        let mut bpe: tokenizers::Tokenizer =
            text.parse().map_err(|error| Error::content(&path, format!("not a tokenizer: {error}; fetch the CLIP folder again")))?;
        // Both are a caller's choice; a folder may carry the choice of whoever saved it.
        bpe.with_padding(None);
        bpe.with_truncation(None).map_err(|error| Error::content(&path, error.to_string()))?;
        let pad = bpe
            .token_to_id(&special.pad)
            .ok_or_else(|| Error::model_set(&path, "pad_token", format!("`{}`", special.pad), "a token of the vocabulary"))?;
        let tokenizer = Self {
            path,
            bpe,
            pad: i64::from(pad),
            length: config.max_position_embeddings,
            eos: config.eos_token_id,
            vocab_size: config.vocab_size,
        };
        tokenizer.check_id(tokenizer.pad)?;
        Ok(tokenizer)
    }

    /// T: how many tokens a prompt may have, start and end included.
    #[must_use]
    pub const fn max_length(&self) -> usize {
        self.length
    }

    /// The token ids of prompts.
    ///
    /// # Errors
    /// [`Error::Classes`] for a prompt that is too long, with the limit; [`Error::ModelSet`] where an id is not in the
    /// text tower's vocabulary, or the end token does not stand behind a prompt.
    pub fn encode<S: AsRef<str>>(&self, prompts: &[S]) -> Result<Tokens> {
        let mut input_ids = Array2::from_elem((prompts.len(), self.length), self.pad);
        let mut eot = Array1::zeros(prompts.len());
        for ((prompt, mut row), eot) in prompts.iter().zip(input_ids.rows_mut()).zip(&mut eot) {
            let prompt = prompt.as_ref();
            let ids = self.ids(prompt)?;
            if ids.len() > self.length {
                return Err(Error::Classes(format!(
                    "`{prompt}` is {} tokens long, start and end included; this model takes at most {}, so shorten the name or the template",
                    ids.len(),
                    self.length
                )));
            }
            for (slot, id) in row.iter_mut().zip(ids) {
                self.check_id(id)?;
                *slot = id;
            }
            *eot = self.eot(&row)?;
        }
        Ok(Tokens { input_ids, eot })
    }

    /// The ids of one text, start and end included, neither padded nor cut.
    ///
    /// # Errors
    /// [`Error::Classes`] for a text the tokenizer refuses.
    pub fn ids(&self, text: &str) -> Result<Vec<i64>> {
        let encoding =
            self.bpe.encode_fast(text, true).map_err(|error| Error::Classes(format!("`{text}` cannot be tokenized: {error}")))?;
        Ok(encoding.get_ids().iter().map(|id| i64::from(*id)).collect())
    }

    /// The first `eos_token_id`, or where that is 2 (old exports) the first of the highest ids.
    fn eot(&self, row: &ArrayRef1<i64>) -> Result<i64> {
        let end = if self.eos == 2 { row.iter().max().copied() } else { Some(self.eos) };
        let position = end.and_then(|end| row.iter().position(|id| *id == end));
        let position = position.ok_or_else(|| {
            let wanted = format!("text_config.eos_token_id {} behind every prompt; take both files from the same model", self.eos);
            Error::model_set(&self.path, "post_processor", "without that end token", wanted)
        })?;
        Ok(i64::try_from(position).expect("a position in a row fits in i64"))
    }

    fn check_id(&self, id: i64) -> Result<()> {
        if usize::try_from(id).is_ok_and(|id| id < self.vocab_size) {
            return Ok(());
        }
        let wanted = format!("a token below text_config.vocab_size {}; take both files from the same model", self.vocab_size);
        Err(Error::model_set(&self.path, "vocab", format!("a token of id {id}"), wanted))
    }
}

/// The tokens with a role.
struct SpecialTokens {
    bos: String,
    eos: String,
    pad: String,
    unk: String,
}

impl SpecialTokens {
    /// As `tokenizer_config.json` says, else `special_tokens_map.json`, else CLIP's own.
    fn read(dir: &Path) -> Result<Self> {
        let mut files = Vec::new();
        for name in ["tokenizer_config.json", "special_tokens_map.json"] {
            let path = dir.join(name);
            if path.exists() {
                let text = fs::read_to_string(&path).map_err(Error::file("read", &path))?;
                let value: Value = serde_json::from_str(&text).map_err(|error| Error::content(&path, format!("not JSON: {error}")))?;
                files.push(value);
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
    let text = fs::read_to_string(&vocab_path).map_err(Error::file("read", &vocab_path))?;
    let vocab: serde_json::Map<String, Value> =
        serde_json::from_str(&text).map_err(|error| Error::content(&vocab_path, format!("not a map from token to id: {error}")))?;
    let text = fs::read_to_string(&merges_path).map_err(Error::file("read", &merges_path))?;
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
        "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::ClipConfig;

    const CASE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/quick_gelu_g7/clip");

    fn config() -> TextConfig {
        ClipConfig::open(Path::new(CASE)).unwrap().text
    }

    /// A copy of the golden tokenizer's files, but for those left out.
    fn copy_without(left_out: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for name in ["tokenizer.json", "vocab.json", "merges.txt", "tokenizer_config.json"] {
            if !left_out.contains(&name) {
                fs::copy(Path::new(CASE).join(name), dir.path().join(name)).unwrap();
            }
        }
        dir
    }

    #[track_caller]
    fn check_refused(dir: &Path, wanted: &[&str]) {
        let error = Tokenizer::open(dir, &config()).unwrap_err().to_string();
        assert!(wanted.iter().all(|word| error.contains(word)), "`{error}` lacks one of {wanted:?}");
    }

    #[test]
    fn prompts_are_padded_to_the_towers_length_and_eot_is_the_first_end() {
        let tokenizer = Tokenizer::open(Path::new(CASE), &config()).unwrap();
        let tokens = tokenizer.encode(&["car", "A photo of a truck"]).unwrap();
        assert_eq!(tokens.input_ids.dim(), (2, 24));
        for (row, eot) in tokens.input_ids.rows().into_iter().zip(&tokens.eot) {
            let eot = usize::try_from(*eot).unwrap();
            assert_eq!(row[0], 596);
            assert!(row.iter().skip(eot).all(|id| *id == 597) && row.iter().take(eot).all(|id| *id != 597), "{row}");
        }
    }

    #[test]
    fn vocab_and_merges_give_what_tokenizer_json_gives() {
        let dir = copy_without(&["tokenizer.json"]);
        let (a, b) = (Tokenizer::open(Path::new(CASE), &config()).unwrap(), Tokenizer::open(dir.path(), &config()).unwrap());
        for text in ["A photo of a Café", "don't   stop", "<|endoftext|> in the middle", "日本 42 🚗", ""] {
            assert_eq!(a.ids(text).unwrap(), b.ids(text).unwrap(), "{text}");
        }
    }

    #[test]
    fn the_pad_is_what_the_folder_says() {
        for (name, content) in [
            ("tokenizer_config.json", r#"{"pad_token": "!"}"#),
            ("tokenizer_config.json", r#"{"pad_token": {"content": "!", "special": true}}"#),
            ("special_tokens_map.json", r#"{"pad_token": "!"}"#),
        ] {
            let dir = copy_without(&["tokenizer_config.json"]);
            fs::write(dir.path().join(name), content).unwrap();
            let tokens = Tokenizer::open(dir.path(), &config()).unwrap().encode(&["car"]).unwrap();
            assert_eq!(tokens.input_ids[[0, 23]], 0, "{name}: {content}");
        }
    }

    #[test]
    fn an_old_exports_eot_is_the_highest_id() {
        let tokenizer = Tokenizer::open(Path::new(CASE), &TextConfig { eos_token_id: 2, ..config() }).unwrap();
        let modern = Tokenizer::open(Path::new(CASE), &config()).unwrap();
        assert_eq!(tokenizer.encode(&["A photo of a bus"]).unwrap(), modern.encode(&["A photo of a bus"]).unwrap());
    }

    #[test]
    fn an_over_long_prompt_names_the_limit_and_itself() {
        let tokenizer = Tokenizer::open(Path::new(CASE), &config()).unwrap();
        let prompt = "car ".repeat(30);
        let error = tokenizer.encode(&["bus", prompt.trim()]).unwrap_err().to_string();
        assert!(error.contains("at most 24") && error.contains(prompt.trim()), "{error}");
    }

    #[test]
    fn files_of_different_models_are_refused() {
        let small = TextConfig { vocab_size: 500, ..config() };
        let error = Tokenizer::open(Path::new(CASE), &small).unwrap_err().to_string();
        assert!(error.contains("id 597") && error.contains("vocab_size 500"), "{error}");
        let other_end = TextConfig { eos_token_id: 49407, ..config() };
        let error = Tokenizer::open(Path::new(CASE), &other_end).unwrap().encode(&["car"]).unwrap_err().to_string();
        assert!(error.contains("eos_token_id 49407"), "{error}");
    }

    #[test]
    fn missing_and_broken_files_are_named() {
        check_refused(copy_without(&["tokenizer.json", "vocab.json"]).path(), &["vocab.json", "cannot read"]);
        check_refused(copy_without(&["tokenizer.json", "merges.txt"]).path(), &["merges.txt", "cannot read"]);
        for (name, content, wanted) in [
            ("tokenizer.json", "{", "not a tokenizer"),
            ("tokenizer.json", "{\"model\": {\"type\": \"BPE\", \"vocab\": {}, \"merges\": [[\"a\", \"b\"]]}}", "not a tokenizer"),
            ("tokenizer_config.json", "[", "not JSON"),
            ("tokenizer_config.json", "{\"pad_token\": \"<none>\"}", "`<none>`"),
        ] {
            let dir = copy_without(&[]);
            fs::write(dir.path().join(name), content).unwrap();
            check_refused(dir.path(), &["tokenizer", wanted]);
        }
        for (name, content, wanted) in [
            ("vocab.json", "[1]", "not a map"),
            ("vocab.json", "{\"a\": 0}", "<|startoftext|>"),
            ("vocab.json", "{\"<|startoftext|>\": 0, \"<|endoftext|>\": -1}", "<|endoftext|>"),
            ("merges.txt", "#version: 0.2\nab\n", "line 2"),
            ("merges.txt", "qq zz\n", "not a tokenizer"),
        ] {
            let dir = copy_without(&["tokenizer.json"]);
            fs::write(dir.path().join(name), content).unwrap();
            check_refused(dir.path(), &[wanted]);
        }
    }
}
