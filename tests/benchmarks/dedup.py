"""Precision and recall of deduplication in a library with changed copies."""

import platform
import sys
import tempfile
import uuid
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from time import monotonic

import numpy as np
from PIL import Image

import imgsearch
from imgsearch.encoders import load
from imgsearch.errors import PrecisionUnreached
from imgsearch.evaluation.ensemble import ensemble_collection
from imgsearch.evaluation.metrics import interval
from imgsearch.evaluation.near_duplicates import choose_threshold
from imgsearch.evaluation.originals import originals as sampled
from imgsearch.evaluation.transforms import TRANSFORMS
from imgsearch.evaluation.verification import Verification
from imgsearch.images import decode
from imgsearch.images.sources import read, references
from imgsearch.library.duplicates import groups

SUBSET = Path(__file__).resolve().parents[3] / "shared/data/imagenet-subset/train"
COPIED = 5  # one image in so many has a copy
WANTED = (0.9, 0.99)


def mixed(folder):
    """Write a copy of every fifth image, one change after the other; return the originals."""
    changes = list(TRANSFORMS.items())
    originals = {}
    for place, reference in enumerate(list(references(SUBSET))[::COPIED]):
        name, change = changes[place % len(changes)]
        image = Image.fromarray(decode(read(reference), path=reference.path))
        image.thumbnail((400, 400))
        path = folder / f"{place:04d}-{name}.png"
        Image.fromarray(change(np.array(image))).save(path)
        originals[str(path)] = reference.path
    return originals


def figures(duplicates, originals):
    """Return for each pair whether it is an image and its copy, for each copy whether it is in
    such a pair, and the wrong pairs, nearest first."""
    pairs = [
        (other.score, str(group.kept.fields["path"]), str(other.fields["path"]))
        for group in duplicates
        for other in group.others
    ]
    right = [originals.get(a, a) == originals.get(b, b) for _, a, b in pairs]
    copies = {
        path
        for (_, *both), is_right in zip(pairs, right, strict=True)
        for path in both
        if is_right and path in originals
    }
    wrong = sorted(
        (pair for pair, is_right in zip(pairs, right, strict=True) if not is_right), reverse=True
    )
    return right, [path in copies for path in originals], wrong


def main(models=("classic", "lite", "classic+lite")):
    print("dedup: a changed copy of every fifth image of the gallery, of the 14 changes in turn")
    packages = ", ".join(f"{name} {version(name)}" for name in ("numpy", "pillow", "onnxruntime"))
    print(f"{platform.platform()}, Python {platform.python_version()}, {packages}")
    if not SUBSET.is_dir():
        print(f"skipped: {SUBSET} is not there")
        return
    with tempfile.TemporaryDirectory() as folder:
        originals = mixed(Path(folder))
        for model in models:
            run(model, folder, originals)


def run(model, folder, originals):
    """Measure a library of `model`; "classic+NAME" combines both, like dedup."""
    own = model.removeprefix("classic+")
    with imgsearch.open(f"memory://{uuid.uuid4().hex}", model=own) as library, ExitStack() as stack:
        library.add([str(SUBSET), folder])
        space = library.collection, load(own)
        if own != model:
            space = stack.enter_context(ensemble_collection(*space))
        sample, unread = sampled(*space)
        for wanted in WANTED:
            measure(model, space[0], sample, unread, wanted, originals)


def measure(model, collection, sample, unread, wanted, originals):
    try:
        pick = choose_threshold(sample, unread, precision=wanted)
    except PrecisionUnreached as error:
        print(f"{model}, wanted {wanted}: {error}")
        return
    print(
        f"{model}, wanted {wanted}: threshold {pick.threshold:.4f}; predicted by score: recall "
        f"{pick.checked.recall:.3f}, precision {pick.checked.precision:.3f} with a copy of each, "
        f"{pick.rare.precision:.3f} of one in ten, {pick.cautious.precision:.3f} if unclear pairs "
        f"are wrong; left out: {pick.copies} pairs that are copies, {pick.unclear} unclear; of "
        f"{collection.count()} images:"
    )
    report("by score", groups(collection, pick.threshold), originals)
    for candidates in (pick.threshold, pick.candidates):
        look = Verification()
        started = monotonic()
        duplicates = groups(collection, pick.threshold, candidates=candidates, second_look=look)
        seconds = monotonic() - started
        report(f"compared at full size from {candidates:.4f} on", duplicates, originals)
        unclear = [pair for pair in look.unverified if pair.verdict == "unclear"]
        paths = [{str(row.fields["path"]) for row in (pair.kept, pair.other)} for pair in unclear]
        right = sum(len({originals.get(path, path) for path in pair}) == 1 for pair in paths)
        print(f"    compared: {look.counts.to_dict()}, {seconds:.0f} s; of {len(paths)} unclear "
              f"pairs {right} are copies")  # fmt: skip


def report(kind, duplicates, originals):
    """Print the shares of correct pairs and of copies in a correct pair."""
    right, copies, wrong = figures(duplicates, originals)
    print(
        f"  {kind}: {len(right)} pairs, precision {_mean(right)}; of {len(copies)} copies recall "
        f"{_mean(copies)}"
    )
    missed = [
        Path(path).stem[5:]
        for path, is_right in zip(originals, copies, strict=True)
        if not is_right
    ]
    print("    missed:", {name: missed.count(name) for name in TRANSFORMS if name in missed})
    for score, one, other in wrong[:5]:
        print(f"    wrong: {score:.4f} {'/'.join(Path(one).parts[-2:])} "
              f"{'/'.join(Path(other).parts[-2:])}")  # fmt: skip


def _mean(values):
    if not values:
        return "of nothing"
    low, high = interval(values, rng=2026)
    if all(values):  # Hanley, Lippman-Hand, If Nothing Goes Wrong, Is Everything All Right?, 1983
        low = 1 - 3 / len(values)
    return f"{sum(values) / len(values):.3f} ({low:.3f} to {high:.3f})"


if __name__ == "__main__":
    main(tuple(sys.argv[1:]) or ("classic", "lite", "classic+lite"))
