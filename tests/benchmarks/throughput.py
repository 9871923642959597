"""400 JPEG files by ResNet-50 and lite: the tutorials' pipeline, our batch step, the encoder."""

import statistics
import tempfile
from pathlib import Path
from time import perf_counter, process_time

import imgsearch
from imgsearch.encoders import Recipe
from imgsearch.encoders.embedding import Embedding
from imgsearch.encoders.torch.imports import frameworks
from imgsearch.images import decode, picture
from imgsearch.images.sources import content_id, read, references

IMAGES = 400
ROUNDS = 5
CHUNK = 256
SUBSET = Path(__file__).resolve().parents[3] / "shared/data/imagenet-subset/train"


def seeded(folder, network):
    """Write seeded weights of a network; the quality of its vectors does not matter here."""
    from safetensors.torch import save_file

    torch, timm = frameworks()
    torch.manual_seed(2026)
    path = Path(folder) / f"{network}.safetensors"
    save_file(timm.create_model(network).state_dict(), path)
    return path


def tutorial(network, weights):
    """Return the tutorials' pipeline: Towhee, image by image, timm's eager model in float32."""
    from PIL import Image
    from safetensors.torch import load_file
    from towhee import pipe

    torch, timm = frameworks()
    model = timm.create_model(network)
    model.load_state_dict(load_file(weights))
    model.reset_classifier(0)
    model.eval()
    config = timm.data.resolve_model_data_config(model)
    transform = timm.data.create_transform(**config, is_training=False)

    def embed(image):
        with torch.inference_mode():
            return model(transform(image)[None])[0].numpy()

    return (
        pipe.input("path")
        .map("path", "image", lambda path: Image.open(path).convert("RGB"))
        .map("image", "vector", embed)
        .output("vector")
    )


def main():
    if not SUBSET.is_dir():
        print("throughput: skipped: ../shared/data/imagenet-subset is missing")
        return
    paths = [reference.path for reference in references(str(SUBSET))][:IMAGES]
    with tempfile.TemporaryDirectory() as folder:
        weights = seeded(folder, "resnet50")
        measure("resnet50", weights, Recipe.of("timm:resnet50", weights), paths)
        measure("tf_efficientnet_lite0", seeded(folder, "tf_efficientnet_lite0"), Recipe(), paths)


def measure(network, weights, recipe, paths):
    """Print the rates of a recipe and of the tutorials' pipeline with the same network."""
    print(f"throughput: {recipe.model}, ratios of one run, paired by round")
    with tempfile.TemporaryDirectory() as folder:
        encoder = imgsearch.load_encoder(**recipe.config())
        print(f"  {encoder.fingerprint.runtime}, batches of {encoder.batch_size}")
        ready = [encoder.prepare(decode(read(path), path=path)) for path in paths]
        step, theirs = Embedding(recipe), tutorial(network, weights)
        places = iter(range(ROUNDS + 1))

        def files():
            for start in range(0, len(paths), CHUNK):
                step(paths[start : start + CHUNK])

        def stored():
            url = f"{folder}/{next(places)}.db"
            with imgsearch.open(url, **recipe.config()) as library:
                library.add(paths)

        runs = {
            "tutorial": lambda: [theirs(path) for path in paths],
            "alone": lambda: encoder.features(ready),
            "files": files,
            "stored": stored,
        }
        step(paths[:CHUNK])
        report(measured(runs), len(paths))
        print_stages(encoder, paths)


def measured(runs):
    """Return each run's wall-clock and processor seconds by round."""
    seconds = {name: [] for name in runs}
    for _ in range(ROUNDS):
        for name, run in runs.items():
            started, busy = perf_counter(), process_time()
            run()
            seconds[name].append((perf_counter() - started, process_time() - busy))
    return seconds


def report(seconds, images):
    """Print images a second, and the relevant ratios, by both clocks."""
    for name, times in seconds.items():
        wall, busy = (statistics.median(column) for column in zip(*times, strict=True))
        print(
            f"  {name}: {images / wall:.1f} images/s, {1000 * busy / images:.1f} processor ms each"
        )
    for what, over, least in (
        ("files → vectors over the tutorials' pipeline", "files", "tutorial"),
        ("files → vectors over the encoder alone", "files", "alone"),
        ("files → Milvus file over files → vectors", "stored", "files"),
        ("files → Milvus file over the encoder alone", "stored", "alone"),
    ):
        for clock, place in (("wall clock", 0), ("processor time", 1)):
            ratios = [
                b[place] / a[place] for a, b in zip(seconds[over], seconds[least], strict=True)
            ]
            median, low, high = statistics.median(ratios), min(ratios), max(ratios)
            spread = f"{median:.2f} (min {low:.2f}, max {high:.2f}), {ROUNDS} rounds"
            print(f"  {what}, {clock}: {spread}")


def print_stages(encoder, paths):
    """Print processor milliseconds an image by stage, and the best possible ratio.

    The best ratio to the encoder alone assumes cores that are never idle.
    """
    seconds = dict.fromkeys(("read", "sha256", "decode", "prepare", "encoder"), 0.0)

    def timed(stage, call):
        started = process_time()
        result = call()
        seconds[stage] += process_time() - started
        return result

    inputs = []
    for path in paths:
        data = timed("read", lambda path=path: read(path))
        timed("sha256", lambda data=data: content_id(data))
        pixels = timed("decode", lambda data=data: picture(data, at_least=encoder.enough))
        inputs.append(timed("prepare", lambda pixels=pixels: encoder.prepare(pixels)))
    timed("encoder", lambda: encoder.features(inputs))
    stages = ", ".join(f"{name} {1000 * s / len(paths):.2f}" for name, s in seconds.items())
    best = seconds["encoder"] / sum(seconds.values())
    only = seconds["encoder"] / (seconds["encoder"] + seconds["decode"])
    print(f"  processor ms an image: {stages}")
    print(f"  best ratio to the encoder alone: {best:.2f}, with decoding alone {only:.2f}")
