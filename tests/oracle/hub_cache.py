"""huggingface_hub beside ours: fetches a repository's files, or with HF_HUB_OFFLINE takes them from the cache, and prints their paths."""

import json
import sys

from huggingface_hub import hf_hub_download

repository, *files = sys.argv[1:]
json.dump([hf_hub_download(repository, file) for file in files], sys.stdout)
