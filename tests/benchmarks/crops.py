"""Answers with the objects of images against whole images: labels, and small objects in scenes.

    python -m tests.benchmarks.crops DETECTOR_FOLDER

The least score of an object is chosen on photographs of `train`, in the way of each task, and then
used once on `test`. The network of `lite` learned from ImageNet, so it may have seen all of them.
"""

import os
import platform
import sys
from importlib.metadata import version
from pathlib import Path
from time import process_time

import numpy as np
from PIL import Image, ImageDraw

from imgsearch.encoders import load
from imgsearch.encoders.detector import Detection
from imgsearch.evaluation.metrics import interval
from imgsearch.images import decode, regions

SUBSET = Path(__file__).resolve().parents[3] / "shared/data/imagenet-subset"
THRESHOLDS = (0.1, 0.2, 0.3, 0.5, 0.7)
SHARES = (0.5, 0.2, 0.1, 0.05)  # of the scene's area
SCENE = (640, 480)
K = 10


class Gallery:
    """The vectors of images and of their objects."""

    def __init__(self, images, encoder, detection):
        self.encoder, self.seconds = encoder, {"whole": 0.0, "detector": 0.0, "objects": 0.0}
        vectors, owners, scores = [], [], []
        for place, image in enumerate(images):
            objects = self.timed("detector", detection, image)
            crops = [regions.crop(image, region.box) for region in objects]
            vectors.append(self.timed("whole", encoder.encode, [image]))
            if crops:
                vectors.append(self.timed("objects", encoder.encode, crops))
            owners += [place] * (1 + len(crops))
            scores += [np.inf, *(region.score for region in objects)]
        self.vectors, self.owners = np.concatenate(vectors), np.array(owners)
        self.scores, self.size = np.array(scores), owners[-1] + 1

    def timed(self, name, function, argument):
        start = process_time()
        result = function(argument)
        self.seconds[name] += process_time() - start
        return result

    def ranks(self, queries, threshold):
        """Return for each query the images, nearest first, by their nearest part."""
        kept = self.scores >= threshold
        scores = queries @ self.vectors[kept].T
        best = np.full((len(queries), self.size), -np.inf)
        for row, owner in zip(scores.T, self.owners[kept], strict=True):
            best[:, owner] = np.maximum(best[:, owner], row)
        return np.argsort(-best, axis=1, kind="stable")

    def parts(self, threshold):
        """Return the mean number of objects of an image, and the share of images with one."""
        owners = self.owners[(self.scores >= threshold) & np.isfinite(self.scores)]
        return len(owners) / self.size, len(set(owners)) / self.size


def photos(part, *, every=1):
    paths = sorted((SUBSET / part).glob("*/*"))[::every]
    return [decode(path.read_bytes()) for path in paths], [path.parent.name for path in paths]


def scene(photo, share, rng):
    """Return a drawn scene of many shapes, with an oval of the photograph at a random place."""
    coarse = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
    canvas = Image.fromarray(coarse).resize(SCENE, Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(canvas)
    for _ in range(60):
        x, y = rng.integers(-40, SCENE[0]), rng.integers(-40, SCENE[1])
        edges = (x, y, x + rng.integers(10, 160), y + rng.integers(10, 160))
        color = tuple(int(value) for value in rng.integers(0, 256, 3))
        shape = (draw.ellipse, draw.rectangle, draw.line)[rng.integers(3)]
        shape([int(edge) for edge in edges], fill=color)
    height, width = photo.shape[:2]
    scale = (share * SCENE[0] * SCENE[1] / (width * height)) ** 0.5
    scale = min(scale, SCENE[0] / width, SCENE[1] / height)
    size = round(width * scale), round(height * scale)
    mask = Image.new("L", size)
    ImageDraw.Draw(mask).ellipse((0, 0, *size), fill=255)
    corner = [int(rng.integers(0, edge - own + 1)) for edge, own in zip(SCENE, size, strict=True)]
    canvas.paste(Image.fromarray(photo).resize(size, Image.Resampling.LANCZOS), corner, mask)
    return np.asarray(canvas)


def mean(values):
    low, high = interval(list(values), rng=2026)
    return f"{np.mean(values):.3f} ({low:.3f} to {high:.3f})"


def compare(title, whole, crops, gallery, threshold):
    objects, covered = gallery.parts(threshold)
    cells = (title, len(whole), mean(whole), mean(crops), mean(np.subtract(crops, whole)))
    print(f"| {' | '.join(map(str, cells))} | {objects:.1f} | {covered:.0%} |", flush=True)


def labels(encoder, detection):
    """Print recall@10 of labels: each image of `test` in every second image of `train`."""
    (train, names), (test, wanted) = photos("train", every=2), photos("test")
    names, gallery = np.array(names), Gallery(train, encoder, detection)

    def right(queries, own, threshold, *, leave_out=False):
        ranked = gallery.ranks(queries, threshold)
        if leave_out:
            ranked = np.array([row[row != place] for place, row in enumerate(ranked)])
        matching = names == np.array(own)[:, None]
        return np.take_along_axis(matching, ranked[:, :K], 1).sum(axis=1) / (
            matching.sum(axis=1) - leave_out
        )

    whole = gallery.vectors[~np.isfinite(gallery.scores)]
    tried = {t: round(float(right(whole, names, t, leave_out=True).mean()), 4) for t in THRESHOLDS}
    none = right(whole, names, np.inf, leave_out=True).mean()
    threshold = max(tried, key=tried.get)
    print(f"train, by least score: {tried}; whole images: {none:.4f}; chosen: {threshold}")
    queries = encoder.encode(test)
    compare(
        "labels, recall@10",
        right(queries, wanted, np.inf), right(queries, wanted, threshold), gallery, threshold,
    )  # fmt: skip
    cost = {
        name: f"{1000 * value / gallery.size:.0f} ms" for name, value in gallery.seconds.items()
    }
    print(f"processor time of an image: {cost}")


def scenes(encoder, detection):
    """Print recall@1 of scenes: a photograph is the query, its scene the answer."""
    train, _ = photos("train")
    test, _ = photos("test")
    rng = np.random.default_rng(2026)
    order = rng.permutation(len(train))
    tuning, others = [train[place] for place in order[:100]], order[100:300]
    drawn = Gallery([scene(photo, 0.1, rng) for photo in tuning], encoder, detection)
    queries = encoder.encode(tuning)
    tried = {t: round(float(first(drawn, queries, t).mean()), 4) for t in THRESHOLDS}
    threshold = max(tried, key=tried.get)
    print(f"scenes of train, by least score: {tried}; chosen: {threshold}")
    queries = encoder.encode(test)
    for share in SHARES:
        photographs = [*test, *(train[place] for place in others)]
        gallery = Gallery([scene(photo, share, rng) for photo in photographs], encoder, detection)
        whole, crops = first(gallery, queries, np.inf), first(gallery, queries, threshold)
        compare(f"object of {share:.0%} of the scene, recall@1", whole, crops, gallery, threshold)


def first(gallery, queries, threshold):
    """Return for each query whether the scene of its own number is the nearest."""
    return (gallery.ranks(queries, threshold)[:, 0] == np.arange(len(queries))).astype(float)


def main(folder):
    packages = ("numpy", "pillow", "onnxruntime")
    import cv2

    print(f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    print(", ".join(f"{name} {version(name)}" for name in packages), "OpenCV", cv2.__version__)
    encoder, detection = load("lite"), Detection(folder, threshold=min(THRESHOLDS))
    print("| task | n | whole | with objects | difference | objects an image | images with one |")
    print("|---|---|---|---|---|---|---|")
    scenes(encoder, detection)
    labels(encoder, detection)


if __name__ == "__main__":
    main(sys.argv[1])
