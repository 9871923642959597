"""Rings of tests: which tests are fast, and which share a server or a fixture.

`fast` is every test without a server, an emulated store, a browser, a heavy framework or a long
run; `make test-fast` runs these. Groups keep the tests of one module, or of one server, on one
worker of pytest-xdist, whose option --no-loadscope-reorder keeps the order of the groups.
"""

import sys
from collections.abc import Sequence
from functools import cache
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Final

import pytest

SERVERS: Final = frozenset({"milvus", "mariadb", "swift", "team"})
"""The servers, as parameters of tests name them; a team is one of each."""

EMULATED: Final = frozenset({"tencent", "tencent+grpc"})
"""The stores that an emulator stands for, as parameters of tests name them."""

SLOW: Final = ("servers", "emulator", "browser", "torch", "process", "long", "nightly")
"""Markers that keep a test out of the fast ring; pyproject.toml describes them."""

MODULES: Final = {
    "torch": (
        "cli/test_models.py",
        "compat/test_embedding.py",
        "encoders/export/test_calibration.py",
        "encoders/export/test_compiled.py",
        "encoders/clip/test_encoder.py",
        "encoders/export/test_writer.py",
        "encoders/test_load.py",
        "encoders/test_preprocessing.py",
        "encoders/lite/test_graph.py",
        "encoders/weights/test_pth.py",
        "encoders/weights/test_cache.py",
        "encoders/reduction/test_fit.py",
        "encoders/test_registry.py",
        "encoders/test_text_sides.py",
        "encoders/timm/test_encoder.py",
        "encoders/clip/test_tokenizer.py",
        "encoders/clip/test_towhee_clip.py",
        "evaluation/test_fidelity.py",
        "evaluation/test_run.py",
        "evaluation/test_stores.py",
        "evaluation/test_training.py",
        "evaluation/test_variants.py",
        "images/test_framework_datasets.py",
        "pipelines/test_regions.py",
        "jobs/test_weights.py",
        "library/test_collection_handle.py",
        "encoders/test_detector.py",
        "encoders/test_text_reader.py",
        "library/test_doctor.py",
        "library/test_regions.py",
        "archive/test_regions.py",
        "service/test_regions.py",
    ),
    "browser": ("ui",),
    "servers": ("services",),
    "long": ("evaluation/test_default_answers.py",),
    "process": (
        "archive/test_crashes.py",
        "archive/test_migration_kills.py",
        "compat",
        "mission",
        "library/test_migration_kills.py",
        "library/test_progress_bar.py",
        "soak",
        "testing/test_tencent_process.py",
    ),
}
"""Marker → the modules and folders whose tests all have it, below tests/."""

_TESTS: Final = Path(__file__).parent
# numba compiles umap's functions in each process, for 15 s; gradio's import takes 3 s
_HEAVY: Final = frozenset(
    {"torch", "openvino", "nncf", "open_clip", "selenium", "umap", "gradio", "datasets"}
)
# a notebook is many tests in one; alone the longest takes 100 s, beside two busy workers 260 s
_NOTEBOOK_TIMEOUT: Final = 900
_SHARED: Final = ("servers", "browser")  # markers whose tests all run on one worker
# Groups of 30 s and more, longest first: each starts as early as possible, so that no worker ends
# alone. Measured with `--durations`; the other groups follow in the order of their names.
FIRST: Final = (
    "servers",
    "torch/encoders",
    "torch/evaluation",
    "browser",
    "notebooks/6_near_duplicates.ipynb",
    "notebooks/4_choosing_an_index.ipynb",
    "tests/soak/test_short.py",
    "torch/library",
    "tests/library/test_interface.py",
    "tests/library/test_thresholds.py",
    "notebooks/7_your_own.ipynb",
    "torch/compat",
    "tests/cli/test_commands.py",
    "tests/encoders/classic/test_encoder.py",
    "tests/backends/test_contract.py",
    "notebooks/3_how_good_is_it.ipynb",
    "tests/archive/test_crashes.py",
    "tests/library/test_library.py",
    "tests/evaluation/test_default_answers.py",
    "tests/compat/test_names.py",
    "tests/backends/tencent/test_calls.py",
    "tests/backends/test_contract_indexes.py",
    "notebooks/2_text_to_image.ipynb",
    "notebooks/1_five_minutes.ipynb",
)


@cache  # thousands of tests are in some hundred modules
def marker_of(path: Path) -> str:
    """Return the marker of a module or folder in `MODULES`, "" for none."""
    if path.suffix == ".ipynb":  # a kernel is a process
        return "process"
    place = path.relative_to(_TESTS) if path.is_relative_to(_TESTS) else path
    names = {str(place), *map(str, place.parents)}
    return next((name for name, modules in MODULES.items() if names & set(modules)), "")


def mark(items: Sequence[pytest.Item]) -> None:
    """Add the markers of `MODULES`, `servers` and `fast`, and the group of each test."""
    for item in items:
        if name := marker_of(item.path):
            item.add_marker(name)
        if item.path.suffix == ".ipynb":
            item.add_marker(pytest.mark.timeout(_NOTEBOOK_TIMEOUT))
        if needs_server(item):
            item.add_marker(pytest.mark.servers)
        if "place_of" in getattr(item, "fixturenames", ()) and _parameters(item) & EMULATED:
            item.add_marker(pytest.mark.emulator)
        if not any(item.get_closest_marker(name) for name in SLOW):
            item.add_marker(pytest.mark.fast)
        if not item.get_closest_marker("xdist_group"):
            item.add_marker(pytest.mark.xdist_group(_group(item)))


def ordered(items: Sequence[pytest.Item]) -> list[pytest.Item]:
    """Return the tests with the longest groups first, and otherwise in their order."""
    return sorted(items, key=_rank)


class Refuse(MetaPathFinder, Loader):
    """Rejects heavy imports in the fast ring, so that a missing marker is found.

    The packages can still be found, because the service reports which models are installed.
    """

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name.partition(".")[0] not in _HEAVY:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None:
            spec.loader = self
        return spec

    def exec_module(self, module: ModuleType) -> None:
        raise AssertionError(
            f"a test of the fast ring imports {module.__name__}: mark it in its module"
        )

    def install(self) -> None:
        sys.meta_path.insert(0, self)


def is_fast(config: pytest.Config) -> bool:
    """Return whether only the fast ring runs: ``-m fast``."""
    return config.getoption("markexpr", "") == "fast"


def needs_server(item: pytest.Item) -> bool:
    """Return whether a test has a server as a parameter, or a fixture that requests `servers`."""
    return "servers" in getattr(item, "fixturenames", ()) or bool(_parameters(item) & SERVERS)


def _parameters(item: pytest.Item) -> set[str]:
    """Return the parameters of a test that are strings."""
    call = getattr(item, "callspec", None)
    return {value for value in call.params.values() if isinstance(value, str)} if call else set()


def _group(item: pytest.Item) -> str:
    """Return the name of the group that a test runs in, on one worker.

    Each server runs once then: an idle Milvus takes 15 % of a core. Tests with torch share the
    models that they load, folder by folder.
    """
    for name in _SHARED:
        if item.get_closest_marker(name):
            return name
    if item.get_closest_marker("torch"):
        return f"torch/{item.path.relative_to(_TESTS).parts[0]}"
    return item.nodeid.partition("::")[0]


def _rank(item: pytest.Item) -> int:
    group = item.get_closest_marker("xdist_group")
    name = group.args[0] if group else ""
    return FIRST.index(name) if name in FIRST else len(FIRST)
