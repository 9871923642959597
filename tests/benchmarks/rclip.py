"""imgsearch beside rclip 3.3, with the same random weights of ViT-B-32-256: cold starts and rates.

rclip is not installed here. Make an environment of its own, and name it::

    python -m venv FOLDER && FOLDER/bin/pip install "rclip==3.3.*"
    python -m tests.benchmarks.rclip FOLDER

The weights are drawn from a seed, and exported for rclip as ONNX files in float32, so nothing is
downloaded, and hits mean nothing. Both programs run in turns, each in a new process.
"""

import argparse
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
from itertools import islice
from pathlib import Path
from time import perf_counter

from imgsearch.encoders.clip.model import open_clip
from imgsearch.encoders.torch.imports import frameworks
from imgsearch.images.sources import references
from tests.benchmarks.overhead import SHARED
from tools.gallery import draw

ARCH = "ViT-B-32-256"
SEED = 2026
MODEL = f"{ARCH}-datacomp_s34b_b86k"  # rclip's name of the folder
VOCABULARY = "bpe_simple_vocab_16e6.txt.gz"


def main():
    arguments = _arguments()
    program = arguments.environment.resolve() / "bin/rclip"
    if not program.is_file():
        sys.exit(f"{program} is missing: see `python -m tests.benchmarks.rclip --help`")
    with tempfile.TemporaryDirectory() as folder:
        place = (arguments.keep or Path(folder)).resolve()
        photos = make_photos(place / "photos", arguments.images)
        make_weights(place)
        print(f"rclip: {len(photos)} images, {ARCH} with random weights, {arguments.rounds} rounds")
        compare(place, program, photos, arguments)


def make_photos(folder, number):
    """Copy photographs of the ImageNet subset, or draw pictures, and return their paths."""
    if not folder.is_dir():
        subset = SHARED / "data/imagenet-subset/train"
        if subset.is_dir():
            source = subset
        else:
            draw(folder.with_name("drawn"), per_class=50)
            source = folder.with_name("drawn") / "train"
        folder.mkdir(parents=True)
        for place, reference in enumerate(islice(references(str(source)), number)):
            suffix = Path(reference.path).suffix.lower().replace(".jpeg", ".jpg")
            shutil.copyfile(reference.path, folder / f"{place:05d}{suffix}")
    return sorted(folder.iterdir())


def make_weights(place):
    """Write the weights for imgsearch, and rclip's folder with the same model as ONNX files."""
    models = place / "rclip" / MODEL
    if (models / "textual.onnx").is_file():
        return
    torch, _ = frameworks()
    package = open_clip()
    from safetensors.torch import save_file

    torch.manual_seed(SEED)
    model = package.create_model(ARCH, pretrained=None).eval()
    models.mkdir(parents=True, exist_ok=True)
    (place / "rclip/tokenizer").mkdir(exist_ok=True)
    shutil.copy(Path(package.__file__).with_name(VOCABULARY), place / "rclip/tokenizer")
    tensors = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    save_file(tensors, place / "clip.safetensors")
    torch.backends.mha.set_fastpath_enabled(False)
    sides = {
        "visual": (model.encode_image, torch.zeros((2, 3, 256, 256))),
        "textual": (model.encode_text, torch.zeros((2, 77), dtype=torch.int64)),
    }
    for name, (encode, example) in sides.items():
        side = torch.nn.Module()
        side.model, side.forward = model, encode
        torch.onnx.export(
            side,
            (example,),
            str(models / f"{name}.onnx"),
            input_names=["input"],
            output_names=["output"],
            dynamic_axes={"input": {0: "n"}, "output": {0: "n"}},
            opset_version=17,
            dynamo=False,
        )


def compare(place, program, photos, arguments):
    """Run both programs in turns, and print the ratios of their times."""
    ours = Ours(place, arguments)
    theirs = Theirs(place, program)
    tasks = {"index and first search": "index", "cold text search": "text"}
    tasks |= {"cold image search": "image", "unchanged folder": "unchanged"}
    times = {what: [] for what in tasks}
    programs = [ours, theirs]
    ours.index(photos)  # exports and compiles the model, which happens once
    for turn in range(arguments.rounds):
        for what, task in tasks.items():
            if task == "index" and turn >= arguments.index_rounds:
                continue
            programs.reverse()
            seconds = {one: getattr(one, task)(photos) for one in programs}
            times[what].append((seconds[ours], seconds[theirs]))
    print("  imgsearch / rclip, median (min to max); seconds are medians: ours, rclip's")
    for what, pairs in times.items():
        for clock, name in enumerate(("wall clock", "processor time")):
            report(f"{what}, {name}", [(one[clock], other[clock]) for one, other in pairs])


def report(what, pairs):
    if not pairs:
        return
    ratios = [one / other for one, other in pairs]
    one, other = (statistics.median(values) for values in zip(*pairs, strict=True))
    print(
        f"    {what}: {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}), "
        f"n = {len(ratios)}; {one:.2f} s, {other:.2f} s"
    )


class Ours:
    """The command line of this checkout, with the embedded store."""

    def __init__(self, place, arguments):
        self._place, self._db = place, place / "ours.db"
        self._options = ["--option", f"precision={arguments.precision}"]
        self._encoder = ["--model", f"clip:{ARCH}", "--weights", str(place / "clip.safetensors")]
        self._lite = arguments.lite

    def _run(self, *words):
        encoder = [] if self._lite else [*self._encoder, *self._options]
        command = [sys.executable, "-m", "imgsearch", *words, "--db", str(self._db), *encoder]
        return measure(command, f"IMGSEARCH_CACHE={self._place / 'cache'}", folder=Path.cwd())

    def index(self, photos):
        shutil.rmtree(self._db, ignore_errors=True)
        added = self._run("add", str(photos[0].parent))
        return added + self.text(photos)

    def text(self, photos):
        return self._run("search", "a dog", "--paths")

    def image(self, photos):
        return self._run("search", str(photos[0]), "--paths")

    def unchanged(self, photos):
        return self._run("add", str(photos[0].parent))


class Theirs:
    """rclip, whose command updates the index and then searches."""

    def __init__(self, place, program):
        self._place, self._program = place, program

    def _run(self, photos, *words):
        variables = ("-u", "PYTHONPATH", f"RCLIP_DATADIR={self._place / 'rclip'}")
        command = [str(self._program), "--filepath-only", *words]
        return measure(command, *variables, folder=photos[0].parent)

    def index(self, photos):
        (self._place / "rclip/db.sqlite3").unlink(missing_ok=True)
        return self._run(photos, "a dog")

    def text(self, photos):
        return self._run(photos, "--no-indexing", "a dog")

    def image(self, photos):
        return self._run(photos, "--no-indexing", str(photos[0]))

    def unchanged(self, photos):
        return self._run(photos, "a dog")


class Times(tuple):
    """Wall clock and processor time in seconds."""

    def __add__(self, other):
        return Times(one + two for one, two in zip(self, other, strict=True))


def measure(command, *variables, folder):
    """Run a process, and return its `Times`; `variables` are arguments for ``env``."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), perf_counter()
    done = subprocess.run(
        ["env", *variables, *command], cwd=folder, capture_output=True, text=True, check=False
    )
    wall, after = perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(f"{command} failed: {done.stderr}")
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Times((wall, used))


def _arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("environment", type=Path, help="a virtual environment with rclip")
    parser.add_argument("--rounds", type=int, default=5, help="of cold starts")
    parser.add_argument("--index-rounds", type=int, default=3, help="of these, with an index")
    parser.add_argument("--images", type=int, default=1_000)
    parser.add_argument("--precision", default="f32", help="of imgsearch: f32, bf16 or auto")
    parser.add_argument("--lite", action="store_true", help="imgsearch's default encoder instead")
    parser.add_argument("--keep", type=Path, help="a folder that keeps photos, weights and index")
    return parser.parse_args()


if __name__ == "__main__":
    main()
