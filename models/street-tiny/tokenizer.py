"""A byte-level BPE tokenizer of CLIP's kind, with merges learnt from captions; written as Hugging Face's files."""

import json
from pathlib import Path

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import CLIPTokenizerFast

POSITIONS = 32
MERGES = 420
START, END = "<|startoftext|>", "<|endoftext|>"
WORDS = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


def train(captions: list[str], out: Path) -> CLIPTokenizerFast:
    """Writes vocab.json, merges.txt, tokenizer.json and tokenizer_config.json into OUT."""
    bpe = Tokenizer(models.BPE(end_of_word_suffix="</w>", unk_token=END))
    bpe.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()])
    words = pre_tokenizers.Split(Regex(WORDS), behavior="removed", invert=True)
    bpe.pre_tokenizer = pre_tokenizers.Sequence([words, pre_tokenizers.ByteLevel(add_prefix_space=False)])
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=len(alphabet) + MERGES, initial_alphabet=alphabet, end_of_word_suffix="</w>", show_progress=False
    )
    bpe.train_from_iterator(captions, trainer)
    merges = [tuple(merge.split(" ")) if isinstance(merge, str) else tuple(merge) for merge in json.loads(bpe.to_str())["model"]["merges"]]

    # CLIP's order: bytes, bytes that end a word, merges in order of learning, then the two marks.
    letters = _byte_letters()
    vocabulary = dict.fromkeys(letters + [letter + "</w>" for letter in letters] + [a + b for a, b in merges] + [START, END])
    out.mkdir(parents=True, exist_ok=True)
    (out / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(vocabulary)}, ensure_ascii=False))
    (out / "merges.txt").write_text("#version: 0.2\n" + "\n".join(" ".join(merge) for merge in merges) + "\n")
    tokenizer = CLIPTokenizerFast(vocab=str(out / "vocab.json"), merges=str(out / "merges.txt"), model_max_length=POSITIONS)
    tokenizer.save_pretrained(out)
    return tokenizer


def load(folder: Path) -> CLIPTokenizerFast:
    return CLIPTokenizerFast.from_pretrained(folder)


def _byte_letters() -> list[str]:
    """GPT-2's printable stand-ins for the 256 bytes, printable bytes first."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + i) for i in range(len(others))]
