r"""Write the text data of `lite`: the class names, their vectors, and the word table.

Requires timm, scipy and the extra `sentences`, which the extra `dev` includes. Run it from the
checkout; it takes some minutes, mostly in the sentence model::

    git clone https://github.com/ruizewang/evaluate captions   # annotations/captions_val2017.json
    python -m tools.lite.words --captions captions/annotations/captions_val2017.json \
        --exclude ../shared/data/captions/captions.jsonl

Sources: class names and nouns are WordNet lemmas from timm; the captions are from COCO val2017
(CC BY 4.0), without the `--exclude` images, because the evaluation uses them. Only texts are used:
the target of a text is its all-MiniLM-L6-v2 vector.

The class texts and the settings of `Fit` were chosen without evaluation images: on 435 captions of
87 COCO images (github.com/Obmutescence/COCO-MINI), and on held-out captions and sentences. All
lemmas of a class find captions best, with an MRR of 0.606. The first lemma alone has 0.598, "a
photo of a" before the lemmas 0.602, and the WordNet definition 0.591. The definition is better on
four labeled sets (precision@10 of names 0.286 against 0.265). With two rounds of eight steps,
held-out captions have a cosine of 0.869 with 12,003 entries and 0.865 with 17,322. Four rounds of
twenty steps reach 0.880, but class names lose 0.034. 256 numbers per row also reach 0.880, but the
file is a third larger.
"""

import argparse
import json
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import numpy as np
from scipy import sparse

from imgsearch.encoders.lite import text, words
from imgsearch.encoders.lite.lexicon import LONGEST, Lexicon, is_content_word, split_words
from imgsearch.encoders.lite.sentences import SentenceModel
from imgsearch.types import Matrix

_log = logging.getLogger(__name__)
_MIN_CAPTIONS: Final = 3  # captions that a new word has to occur in
_HELD_OUT: Final = 20  # one image in 20 is held out from the fit, for the report
_CHUNK: Final = 512
_MIN_LENGTH: Final = 0.05  # of a text's sum along its target, so that no text is ignored
_TINY: Final = 1e-12
_HEADER: Final = """\
# The 1,000 classes of ImageNet (ILSVRC 2012), in the order of the classifier: lemmas of WordNet 3.0
# (https://wordnet.princeton.edu/license-and-commercial-use), as timm ships them in
# timm/data/_info/imagenet_synset_to_lemma.txt and imagenet_synsets.txt. WordNet 3.0 is Copyright
# 2006 by Princeton University.
# tools/lite/words.py writes this file.
"""
_TEMPLATES: Final = (
    "a photo of a {entry}", "a {entry}", "a {color} {entry}", "a {entry} and a {other}",
    "{entry} in a {other}", "a {entry} with a {other}", "a person with a {entry}",
    "{entry}s on the {other}", "a picture of {entry}", "two {entry}s", "my {entry}",
    "a small {color} {entry} next to a {other}", "the {entry} is near the {other}",
    "close up of a {entry}",
)  # fmt: skip
_COLORS: Final = (
    "red", "blue", "green", "black", "white", "brown", "yellow", "orange", "gray", "pink", "purple",
    "large", "small", "old", "wooden", "young", "wet",
)  # fmt: skip


@dataclass(frozen=True)
class Fit:
    """Settings of the table fit: numbers per row, rounds, and conjugate gradient steps per round.

    `alone` is the weight of a single entry relative to a sentence; `stay` penalizes the distance of
    rows from their start.
    """

    rank: int = 192
    rounds: int = 2
    steps: int = 8
    alone: float = 1.0
    stay: float = 0.1
    seed: int = 7


class Vectors:
    """The sentence model's vectors, cached in the npz file `cache` if it is given."""

    def __init__(self, cache: Path | None) -> None:
        self._model, self._cache = SentenceModel(), cache
        self._known: dict[str, Matrix] = {}
        if cache is not None and cache.is_file():
            with np.load(cache, allow_pickle=False) as arrays:
                texts = arrays["texts"].tobytes().decode().split("\0")
                self._known = dict(zip(texts, arrays["vectors"], strict=True))

    def __call__(self, texts: Sequence[str]) -> Matrix:
        """Return the unit vectors of texts, float32 (n, 384)."""
        # short texts first: a batch is as long as its longest text
        new = sorted({text for text in texts if text not in self._known}, key=len)
        for start in range(0, len(new), _CHUNK):
            chunk = new[start : start + _CHUNK]
            self._known.update(zip(chunk, self._model.vectors(chunk), strict=True))
            _log.info("%d of %d vectors", start + len(chunk), len(new))
        if new and self._cache is not None:
            kept = np.frombuffer("\0".join(self._known).encode(), dtype=np.uint8)
            np.savez(self._cache, texts=kept, vectors=np.stack(list(self._known.values())))
        return np.stack([self._known[text] for text in texts])


def synset_lemmas() -> dict[str, str]:
    """Return synset → lemmas, such as "tench, Tinca tinca", for ImageNet's 21,843 synsets."""
    lines = (_timm_info() / "imagenet_synset_to_lemma.txt").read_text(encoding="utf-8")
    return dict(line.split("\t", 1) for line in lines.splitlines())


def class_synsets() -> list[str]:
    """Return the synsets of the 1,000 classes, in the classifier's order."""
    return (_timm_info() / "imagenet_synsets.txt").read_text(encoding="utf-8").split()


def captions_by_image(file: Path, exclude: Path) -> dict[int, list[str]]:
    """Return image number → COCO captions, without excluded images.

    An image is excluded if its number or one of its captions occurs in `exclude`, a JSON Lines file
    with `captions` and a `file` name that ends in the image number.
    """
    rows = [json.loads(line) for line in exclude.read_text(encoding="utf-8").splitlines()]
    numbers = {int(Path(row["file"]).stem) for row in rows}
    barred = {_bare(caption) for row in rows for caption in row["captions"]}
    images: dict[int, list[str]] = {}
    for row in json.loads(file.read_text(encoding="utf-8"))["annotations"]:
        images.setdefault(row["image_id"], []).append(row["caption"].strip())
    return {
        number: captions
        for number, captions in sorted(images.items())
        if number not in numbers and barred.isdisjoint(map(_bare, captions))
    }


def vocabulary(
    known: Sequence[str], lemmas: Sequence[str], captions: Sequence[str], nouns: Sequence[str]
) -> list[str]:
    """Return the entries of the word table.

    The entries are the `known` entries, class names and their words, frequent caption words, and
    the single-word `nouns` that these do not cover.
    """
    names = [" ".join(split_words(lemma)) for line in lemmas for lemma in line.split(",")]
    counts = Counter(word for text in captions for word in dict.fromkeys(split_words(text)))
    entries = dict.fromkeys(known)
    entries |= dict.fromkeys(name for name in names if 1 <= len(name.split()) <= LONGEST)
    frequent = [word for word, count in counts.most_common() if count >= _MIN_CAPTIONS]
    parts = [word for name in names for word in name.split()]
    entries |= dict.fromkeys(word for word in [*frequent, *parts] if is_content_word(word))
    lexicon = Lexicon(list(entries))
    words = (split_words(noun) for noun in nouns)
    single = [word for word, *others in filter(None, words) if not others]
    return list(entries | dict.fromkeys(word for word in single if lexicon.find(word)[1]))


def made_up(
    entries: Sequence[str], captions: Sequence[str], random: np.random.Generator
) -> list[str]:
    """Return a generated sentence for each entry; most contain a frequent caption word."""
    counts = Counter(word for text in captions for word in dict.fromkeys(split_words(text)))
    frequent = [word for word, _ in counts.most_common(1500) if is_content_word(word)]

    def pick(texts: Sequence[str]) -> str:
        return texts[random.integers(len(texts))]

    sentences = []
    for entry in entries:
        template = pick(_TEMPLATES)
        other = pick(frequent if random.random() < 0.7 else entries)
        sentences.append(template.format(entry=entry, other=other, color=pick(_COLORS)))
    return sentences


def directions(targets: Matrix, rank: int) -> Matrix:
    """Return the first `rank` right singular vectors of the targets, float32 (rank, 384)."""
    _, basis = np.linalg.eigh(targets.T.astype(np.float64) @ targets)
    return np.ascontiguousarray(basis[:, ::-1][:, :rank].T, dtype=np.float32)


def fit(lexicon: Lexicon, own: Matrix, texts: Sequence[str], targets: Matrix, how: Fit) -> Matrix:
    """Fit a table, float32 (n, rank), so that each text's sum of rows points to its target.

    `own` (n, rank) contains the projected vectors of the entries, where the fit starts; `targets`
    the projected vectors of the texts. Each round scales a target to the length of the text's sum
    along it, because only directions matter, and solves for the rows with least squares.
    """
    rows_by_text = [lexicon.find(text)[0] for text in texts]
    known = [place for place, rows in enumerate(rows_by_text) if rows]
    counts = _counts([rows_by_text[place] for place in known], len(own))
    sums = sparse.vstack([counts, sparse.identity(len(own), dtype=np.float32)]).tocsr()
    wanted = np.concatenate([targets[known], own])
    weights = np.repeat(np.float32([1, how.alone]), [len(known), len(own)])[:, None]
    table = own
    for _ in range(how.rounds):
        lengths = ((sums @ table) * wanted).sum(axis=1) / np.square(wanted).sum(axis=1)
        scaled = np.maximum(lengths, _MIN_LENGTH)[:, None] * wanted
        table = _least_squares(sums, scaled, weights, own, table, how)
    return table


def _least_squares(
    sums: Any, targets: Matrix, weights: Matrix, start: Matrix, table: Matrix, how: Fit
) -> Matrix:
    """Reduce weights * |sums @ rows - targets|^2 + stay * |rows - start|^2; return the rows.

    Runs `steps` conjugate gradient steps from `table`, separately for each column.
    """
    rest = sums.T @ (weights * (targets - sums @ table)) + how.stay * (start - table)
    direction, size = rest, np.square(rest).sum(axis=0)
    for _ in range(how.steps):
        moved = sums.T @ (weights * (sums @ direction)) + how.stay * direction
        step = size / ((direction * moved).sum(axis=0) + _TINY)
        table, rest = table + step * direction, rest - step * moved
        before, size = size, np.square(rest).sum(axis=0)
        direction = rest + size / (before + _TINY) * direction
    return np.asarray(table, dtype=np.float32)


def _counts(rows: Sequence[Sequence[int]], entries: int) -> Any:
    """Return the number of occurrences of each entry in each text, sparse (texts, entries)."""
    flat = np.concatenate([np.asarray(places, dtype=np.int32) for places in rows])
    starts = np.cumsum([0, *map(len, rows)])
    ones = np.ones(len(flat), dtype=np.float32)
    return sparse.csr_matrix((ones, flat, starts), shape=(len(rows), entries))


def save(file: Path, entries: Sequence[str], table: Matrix, basis: Matrix) -> None:
    """Write a table in the format of `WordTable`: int8 rows with one scale per row."""
    scales = np.abs(table).max(axis=1) / 127
    np.savez_compressed(
        file,
        entries=np.frombuffer("\n".join(entries).encode(), dtype=np.uint8),
        table=np.rint(table / scales[:, None]).astype(np.int8),
        scales=scales.astype(np.float32),
        basis=basis.astype(np.float16),
    )


def main() -> None:
    """Write `classes.txt`, `classes.npy` and `words.npz`, and report on held-out captions."""
    arguments = _arguments()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    how, vectors = Fit(), Vectors(arguments.cache)
    synsets = synset_lemmas()
    lemmas = [synsets[synset] for synset in class_synsets()]
    text.NAMES.write_text(_HEADER + "\n".join(lemmas) + "\n", encoding="utf-8")
    classes = vectors(lemmas)
    np.save(text.CLASSES, classes.astype(np.float16))

    images = captions_by_image(arguments.captions, arguments.exclude)
    captions = [caption for group in images.values() for caption in group]
    nouns = [names.split(",")[0] for names in synsets.values()]
    entries = vocabulary(_known(arguments.entries), lemmas, captions, nouns)
    groups = list(enumerate(images.values()))
    held_out = [caption for place, group in groups if place % _HELD_OUT == 0 for caption in group]
    texts = [caption for place, group in groups if place % _HELD_OUT for caption in group]
    texts += made_up(entries, captions, np.random.default_rng(how.seed))
    own, targets = vectors(entries), vectors(texts)
    basis = directions(np.concatenate([targets, own, classes]), how.rank)
    table = fit(Lexicon(entries), own @ basis.T, texts, targets @ basis.T, how)
    save(words.FILE, entries, table, basis)

    report(
        words.WordTable(words.FILE),
        vectors,
        {"held-out captions": held_out, "entries": entries, "class names": lemmas},
    )


def report(table: words.WordTable, vectors: Vectors, groups: Mapping[str, Sequence[str]]) -> None:
    """Log the mean cosine of the table's vectors to the model's, and the number of known texts."""
    for name, texts in groups.items():
        known = [text for text in texts if table.knows(text)]
        cosines = (table.vectors(known) * vectors(known)).sum(axis=1)
        _log.info("%s: %d of %d, cosine %.4f", name, len(known), len(texts), cosines.mean())


def _timm_info() -> Path:
    # found without importing timm, which would load torch
    return Path(str(metadata.distribution("timm").locate_file("timm/data/_info")))


def _known(file: Path) -> list[str]:
    with np.load(file, allow_pickle=False) as arrays:
        return str(arrays["entries"].tobytes().decode()).split("\n")


def _bare(caption: str) -> str:
    return " ".join(caption.casefold().split()).rstrip(".")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="write the text files of lite")
    parser.add_argument("--captions", type=Path, required=True, help="captions_val2017.json")
    parser.add_argument("--exclude", type=Path, required=True, help="captions.jsonl, evaluated on")
    parser.add_argument("--entries", type=Path, default=words.FILE, help="an npz with `entries`")
    parser.add_argument("--cache", type=Path, help="an npz that keeps vectors for the next run")
    return parser.parse_args()


if __name__ == "__main__":
    main()
