"""Token ids of transformers' CLIPTokenizer.

    tokenize_clip.py ids FOLDER          JSON list of strings on stdin -> JSON list of {"text", "ids"} on stdout
    tokenize_clip.py make BPE_GZ FOLDER  CLIP's own merges (bpe_simple_vocab_16e6.txt.gz) -> vocab.json and merges.txt of full size
    tokenize_clip.py save FOLDER OTHER   the same tokenizer as transformers saves it: with tokenizer.json

Ids carry start and end and are neither padded nor cut.
"""

import gzip
import json
import sys
from pathlib import Path


def make(bpe: str, folder: str) -> None:
    """As OpenAI's simple_tokenizer.py and transformers' conversion do it: 256 bytes, 256 with </w>, 48894 merges, two special tokens."""
    merges = gzip.open(bpe).read().decode("utf-8").split("\n")[1 : 49152 - 256 - 2 + 1]
    shown = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    characters = [chr(byte) for byte in shown] + [chr(256 + n) for n in range(256 - len(shown))]
    tokens = characters + [character + "</w>" for character in characters] + ["".join(merge.split()) for merge in merges]
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    Path(folder, "vocab.json").write_text(json.dumps({token: index for index, token in enumerate(tokens)}), encoding="utf-8")
    Path(folder, "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n", encoding="utf-8")


def ids(folder: str) -> None:
    from transformers import CLIPTokenizer

    tokenizer = CLIPTokenizer.from_pretrained(folder)
    texts = json.load(sys.stdin)
    json.dump([{"text": text, "ids": tokenizer(text, verbose=False)["input_ids"]} for text in texts], sys.stdout, ensure_ascii=True, indent=1)


def save(folder: str, other: str) -> None:
    from transformers import CLIPTokenizer

    CLIPTokenizer.from_pretrained(folder).save_pretrained(other)


if __name__ == "__main__":
    {"make": make, "ids": ids, "save": save}[sys.argv[1]](*sys.argv[2:])
