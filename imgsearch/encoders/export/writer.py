"""Exports torch encoders for other runtimes, cached by model, weights and options."""

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
from imgsearch.threads import available_cores
from imgsearch.types import Matrix

_log = logging.getLogger(__name__)
_FORMAT: Final = 3  # version of exports; other versions are exported again
_SIZES: Final = (1, 2, 4, 8, 16)  # measured batches; larger ones are not faster
_TRIAL_SECONDS: Final = 4.0  # limit of the search for a batch size
_GAIN: Final = 1.05  # a larger batch needs more memory, so it must be this much faster


def folder(cache: Path, runtime: str, identity: Mapping[str, Any]) -> Path:
    """Return the folder of an export; `identity` has plain values, including the weights' hash."""
    key = json.dumps({"form": _FORMAT, "runtime": runtime, **identity}, sort_keys=True)
    return cache / "exports" / hashlib.sha256(key.encode()).hexdigest()[:32]


def is_complete(export: Path) -> bool:
    """Return whether the export exists and is complete."""
    return (export / CARD).is_file()


def write(encoder: Any, export: Path, runtime: str) -> None:
    """Export a torch `encoder` into the folder `export`, atomically.

    Raises:
        MissingExtra: the runtime is not installed.
        EncoderError: the model cannot be exported.
        OSError: the cache cannot be written.
    """
    export.parent.mkdir(parents=True, exist_ok=True)
    started = monotonic()
    with tempfile.TemporaryDirectory(dir=export.parent, prefix=".part-") as part:
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
            **_measure(runtime, draft, samples),
        }
        if encoder.languages:
            encoder.tokenizer.save(draft)
        (draft / CARD).write_text(json.dumps(card, indent=1), encoding="utf-8")
        with contextlib.suppress(OSError):  # another process wrote the same export first
            draft.replace(export)
    if not is_complete(export):
        shutil.rmtree(export, ignore_errors=True)  # other files in the way
        raise OSError(f"{export} cannot be written")
    _log.info(
        "exported %s to %s in %.1f s", encoder.fingerprint.model, export, monotonic() - started
    )


def _measure(runtime: str, export: Path, samples: Mapping[str, npt.NDArray[Any]]) -> dict[str, Any]:
    """Measure the accuracy of bf16 and the fastest batch size on this machine.

    `samples` has example inputs for each part, "image" and "text".
    """
    cosine: float | None = None
    engine = engines.start(runtime, export, "image", "f32")
    if engines.has_bf16(runtime):
        cosine = min(_bf16_cosine(runtime, export, *sample) for sample in samples.items())
        if cosine >= engines.CLOSE_ENOUGH:
            engine = engines.start(runtime, export, "image", "bf16")
    return {"bf16_cosine": cosine, "batch_size": _batch_size(engine, samples["image"])}


def _bf16_cosine(runtime: str, export: Path, part: str, sample: npt.NDArray[Any]) -> float:
    """Return the lowest cosine between a part's vectors in f32 and in bf16."""
    exact, rounded = (
        engines.start(runtime, export, part, precision).run(sample) for precision in ("f32", "bf16")
    )
    return _lowest_cosine(exact, rounded)


def _lowest_cosine(exact: Matrix, other: Matrix) -> float:
    norms = np.linalg.norm(exact, axis=1) * np.linalg.norm(other, axis=1)
    return float(((exact * other).sum(axis=1) / norms).min())


def _batch_size(engine: engines.Engine, pictures: npt.NDArray[np.uint8]) -> int:
    """Return the measured batch size at which the throughput stops growing."""
    best, speed, end = 1, 0.0, monotonic() + _TRIAL_SECONDS
    for size in _SIZES:
        batch = np.resize(pictures, (size, *pictures.shape[1:]))
        engine.run(batch)  # the first batch of a shape prepares the kernels
        seconds = min(_time_in_parallel(engine, batch) for _ in range(2))
        if size / seconds > speed * _GAIN:
            best, speed = size, size / seconds
        if monotonic() > end:
            break
    return best


def _time_in_parallel(engine: engines.Engine, batch: Any) -> float:
    """Return the seconds that a batch takes if each core runs one at the same time."""
    threads = [threading.Thread(target=engine.run, args=(batch,)) for _ in range(available_cores())]
    started = monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return monotonic() - started


def _export(runtime: str, module: Any, example: Any, file: Path) -> None:
    try:
        with warnings.catch_warnings(), _plain_attention():
            # tracing warns of fixed sizes, which never change here, and of its deprecation
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
    """Make torch's attention layers use operations that other runtimes support."""
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

    # openvino.convert_model (2026.4) does the same, but sends telemetry
    with torch.inference_mode():
        decoder = TorchScriptPythonDecoder(module, example_input=example)
        frontend = FrontEndManager().load_by_framework("pytorch")
        model = frontend.convert(frontend.load(decoder))
    model.reshape([-1, *example.shape[1:]])
    openvino.save_model(model, file, compress_to_fp16=False)


def _to_onnx(module: Any, example: Any, file: Path) -> None:
    import torch

    with torch.inference_mode():
        # the tracing exporter, because the newer one needs onnxscript and supports fewer models
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
