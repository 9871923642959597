"""A sentence encoder as the texts' teacher, read by transformers, as all-MiniLM-L6-v2."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from imgsearch.encoders.frameworks import frameworks
from imgsearch.errors import MissingExtra, WeightsInvalid, WeightsNotFound
from imgsearch.types import Matrix

_BATCH = 64
_LENGTH = 64  # tokens; names and captions have fewer


def sentence_vectors(texts: Sequence[str], folder: Path) -> Matrix:
    """Return unit vectors (n, d) of texts: the mean of their tokens' last states.

    Source: Reimers and Gurevych, Sentence-BERT, EMNLP 2019.

    Raises:
        MissingExtra: transformers is not installed.
        WeightsNotFound, WeightsInvalid: the folder is not there, or holds no such model.
    """
    frameworks()  # torchvision, mended where it has to be
    try:
        import transformers
    except ModuleNotFoundError as error:
        raise MissingExtra(
            "the texts' teacher needs transformers", extra="clip", name=error.name
        ) from error
    if not (folder / "config.json").is_file():
        raise WeightsNotFound(f"{folder} holds no sentence encoder")
    local = {"local_files_only": True, "trust_remote_code": False}
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **local)
        model = transformers.AutoModel.from_pretrained(folder, use_safetensors=True, **local)
    except (OSError, ValueError, RuntimeError) as error:
        raise WeightsInvalid(f"{folder} holds no sentence encoder: {error}") from error
    made = []
    for start in range(0, len(texts), _BATCH):
        words = tokenizer(
            list(texts[start : start + _BATCH]),
            padding=True,
            truncation=True,
            max_length=_LENGTH,
            return_tensors="pt",
        )
        with torch.inference_mode():
            states = model.eval()(**words).last_hidden_state
            mask = words["attention_mask"][..., None].float()
            mean = (states * mask).sum(1) / mask.sum(1)
            made.append(functional.normalize(mean, dim=1).numpy())
    return np.concatenate(made)
