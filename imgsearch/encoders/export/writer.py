"""Writing a torch encoder down for another runtime: once, kept by what makes it what it is."""

import contextlib
import hashlib
import json
import logging
import shutil
import tempfile
import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from time import monotonic
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from imgsearch.encoders.export import engines
from imgsearch.encoders.export.encoder import CARD
from imgsearch.encoders.export.probes import probes
from imgsearch.errors import EncoderError, MissingExtra
from imgsearch.types import Matrix

_log = logging.getLogger(__name__)
_FORM: Final = 3  # of what is written; another one is written anew
_SIZES: Final = (1, 2, 4, 8, 16)  # batches tried; larger ones only make the cores wait
_TRIAL_SECONDS: Final = 4.0  # the search for a batch size ends then
_GAIN: Final = 1.05  # a larger batch holds more memory, so it has to be this much faster


def folder(cache: Path, runtime: str, what: Mapping[str, Any]) -> Path:
    """Return where the export of `what`, plain values with the weights' hash, belongs."""
    told = json.dumps({"form": _FORM, "runtime": runtime, **what}, sort_keys=True)
    return cache / "exports" / hashlib.sha256(told.encode()).hexdigest()[:32]


def is_there(place: Path) -> bool:
    """Tell if the export is there and whole."""
    return (place / CARD).is_file()


def write(encoder: Any, place: Path, runtime: str) -> None:
    """Export a torch `encoder` into the folder `place`, whole or not at all.

    Raises:
        MissingExtra: the runtime is not installed.
        EncoderError: the model cannot be exported.
        OSError: the cache cannot be written.
    """
    place.parent.mkdir(parents=True, exist_ok=True)
    started = monotonic()
    with tempfile.TemporaryDirectory(dir=place.parent, prefix=".part-") as part:
        draft = Path(part) / "export"
        draft.mkdir()
        samples = {}
        for name, (module, example) in encoder.graphs().items():
            _export(runtime, module, example, draft / engines.FILES[runtime].format(name))
            samples[name] = example.numpy()
        samples["image"] = probes(encoder.preprocessing.input_size)
        card = {
            "fingerprint": asdict(encoder.fingerprint),
            "runtime": runtime,
            "preprocessing": asdict(encoder.preprocessing),
            "languages": encoder.languages,
            "templates": encoder.templates,
            **_trial(runtime, draft, samples),
        }
        if encoder.languages:
            encoder.tokenizer.save(draft)
        (draft / CARD).write_text(json.dumps(card, indent=1), encoding="utf-8")
        with contextlib.suppress(OSError):  # another process was first; its export is as good
            draft.replace(place)
    if not is_there(place):
        shutil.rmtree(place, ignore_errors=True)  # left over from something else
        raise OSError(f"{place} cannot be written")
    _log.info(
        "exported %s to %s in %.1f s", encoder.fingerprint.model, place, monotonic() - started
    )


def _trial(runtime: str, place: Path, samples: Mapping[str, npt.NDArray[Any]]) -> dict[str, Any]:
    """Try the export on this machine: how true it is in bf16, and how large batches pay.

    `samples` are inputs for each of its parts.
    """
    told: dict[str, Any] = {"bf16_cosine": None}
    engine = engines.start(runtime, place, "image", "f32")
    if engines.has_bf16(runtime):
        told["bf16_cosine"] = min(_truth(runtime, place, *sample) for sample in samples.items())
        if told["bf16_cosine"] >= engines.TRUE_ENOUGH:
            engine = engines.start(runtime, place, "image", "bf16")
    return {**told, "batch_size": _batch_size(engine, samples["image"])}


def _truth(runtime: str, place: Path, part: str, sample: npt.NDArray[Any]) -> float:
    """Return the lowest cosine between what a part makes of a sample in f32 and in bf16."""
    made = [engines.start(runtime, place, part, each).run(sample) for each in ("f32", "bf16")]
    return _cosine(*made)


def _cosine(exact: Matrix, other: Matrix) -> float:
    """Return the lowest cosine between the vectors of one picture."""
    norms = np.linalg.norm(exact, axis=1) * np.linalg.norm(other, axis=1)
    return float(((exact * other).sum(axis=1) / norms).min())


def _batch_size(engine: engines.Engine, pictures: npt.NDArray[np.uint8]) -> int:
    """Return the batch at which images a second stop growing, as it is found on this machine."""
    best, speed, end = 1, 0.0, monotonic() + _TRIAL_SECONDS
    for size in _SIZES:
        batch = np.resize(pictures, (size, *pictures.shape[1:]))
        engine.run(batch)  # the first of a shape prepares its kernels
        seconds = min(_side_by_side(engine, batch) for _ in range(2))
        if size / seconds > speed * _GAIN:
            best, speed = size, size / seconds
        if monotonic() > end:
            break
    return best


def _side_by_side(engine: engines.Engine, batch: Any) -> float:
    """Return the seconds that a batch on every core takes."""
    threads = [
        threading.Thread(target=engine.run, args=(batch,)) for _ in range(engines.available_cores())
    ]
    started = monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return monotonic() - started


def _export(runtime: str, module: Any, example: Any, file: Path) -> None:
    try:
        with warnings.catch_warnings(), _plain_attention():
            # tracing warns of what it fixes: sizes, which never change, and of its own age
            warnings.simplefilter("ignore")
            (_to_openvino if runtime == "openvino" else _to_onnx)(module, example, file)
    except ModuleNotFoundError as error:
        raise MissingExtra(
            f"the runtime {runtime} needs {error.name}", extra=runtime, name=error.name
        ) from error
    except (RuntimeError, ValueError, TypeError, AttributeError) as error:
        raise EncoderError(f"the model cannot be exported to {runtime}: {error}") from error


@contextmanager
def _plain_attention() -> Iterator[None]:
    """Have torch's attention layers compute by operations that other runtimes know, too."""
    import torch

    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


def _to_openvino(module: Any, example: Any, file: Path) -> None:
    import torch

    openvino = engines.openvino_module()
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    # openvino.convert_model (2026.4) does the same, and reports it to its makers over the network
    with torch.inference_mode():
        decoder = TorchScriptPythonDecoder(module, example_input=example)
        frontend = FrontEndManager().load_by_framework("pytorch")
        model = frontend.convert(frontend.load(decoder))
    model.reshape([-1, *example.shape[1:]])
    openvino.save_model(model, file, compress_to_fp16=False)


def _to_onnx(module: Any, example: Any, file: Path) -> None:
    import torch

    with torch.inference_mode():
        # the exporter by tracing: the newer one needs onnxscript, and knows fewer of timm's models
        torch.onnx.export(
            module,
            (example,),
            str(file),
            input_names=["batch"],
            output_names=["features"],
            dynamic_axes={"batch": {0: "n"}, "features": {0: "n"}},
            opset_version=17,
            dynamo=False,
        )
