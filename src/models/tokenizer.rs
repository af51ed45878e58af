//! CLIP's tokenizer: prompts to token ids, exactly as transformers' `CLIPTokenizer` makes them.
//!
//! Byte-level BPE over NFC-normalised, lower-cased words, start and end token around, padded to the text
//! tower's length. Read from `tokenizer.json`, or from `vocab.json` and `merges.txt` where there is none.

mod files;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use ndarray::{Array1, Array2, ArrayRef1};

use self::files::SpecialTokens;
use super::TextConfig;
use crate::{Error, Result};

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
        let special = SpecialTokens::read(dir)?;
        let (path, pipeline) = files::pipeline(dir, &special)?;
        let mut bpe = caught(|| pipeline.to_string().parse::<tokenizers::Tokenizer>())
            .map_err(|problem| Error::content(&path, format!("not a tokenizer: {problem}; fetch the CLIP folder again")))?;
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
        let encoding = caught(|| self.bpe.encode_fast(text, true))
            .map_err(|problem| Error::Classes(format!("`{text}` cannot be tokenized: {problem}; fetch the CLIP folder again")))?;
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

/// What the tokenizers crate does. It takes files at their word, and panics on some that nobody means: a template that names a token
/// which is not there, merges that are shorter than their prefix.
fn caught<T>(work: impl FnOnce() -> tokenizers::Result<T>) -> Result<T, String> {
    let done = catch_unwind(AssertUnwindSafe(work)).map_err(|_| "its steps do not go together".to_owned())?;
    done.map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::ClipConfig;
    use proptest::prelude::*;
    use serde_json::{Value, json};
    use std::fs;

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
    fn steps_that_do_not_go_together_are_an_error_and_no_panic() {
        let dir = copy_without(&[]);
        let path = dir.path().join("tokenizer.json");
        let sound: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let single = json!([{"SpecialToken": {"id": "gone", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]);
        for (part, key, value) in [
            ("", "post_processor", json!({"type": "TemplateProcessing", "single": single, "pair": [], "special_tokens": {}})),
            ("", "pre_tokenizer", json!({"type": "FixedLength", "length": 0})),
            ("/model", "continuing_subword_prefix", json!("longer than any token is")),
        ] {
            let mut broken = sound.clone();
            broken.pointer_mut(part).unwrap()[key] = value;
            fs::write(&path, broken.to_string()).unwrap();
            let error = Tokenizer::open(dir.path(), &config()).and_then(|tokenizer| tokenizer.encode(&["car"])).unwrap_err().to_string();
            assert!(error.contains("do not go together") && error.contains("fetch the CLIP folder again"), "{key}: {error}");
        }
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

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn a_damaged_file_is_an_error_or_harmless_but_never_a_panic(
            file in 0..4usize, at in any::<proptest::sample::Index>(), length in 0..30usize, new in "[0-9\\[\\]{}\",: a-z<|>-]{0,8}",
        ) {
            let name = ["tokenizer.json", "tokenizer_config.json", "vocab.json", "merges.txt"][file];
            let dir = if file < 2 { copy_without(&[]) } else { copy_without(&["tokenizer.json"]) };
            let mut bytes = fs::read(dir.path().join(name)).unwrap();
            // What is not vocabulary stands at both ends of a file.
            let most = bytes.len();
            let near_an_end = [at.index(most), at.index(most.min(2500)), most - 1 - at.index(most.min(300))][length % 3];
            bytes.splice(near_an_end..(near_an_end + length).min(most), new.bytes());
            fs::write(dir.path().join(name), bytes).unwrap();
            let _ = Tokenizer::open(dir.path(), &config()).and_then(|tokenizer| tokenizer.encode(&["A photo of a café 🚗"]));
        }
    }
}
