"""Fixtures of the command line, and the stores of contract tests.

A new store is a name in `STORES` and a case in `_place`.
"""

import gc
import logging
import os
import tempfile
import warnings
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from shutil import which
from typing import Any

import pytest
from click.testing import CliRunner, Result

from imgsearch import settings
from imgsearch.backends import connect
from imgsearch.cli import cli
from imgsearch.encoders import load
from imgsearch.testing.contract.bench import Bench, clear_kept
from tests import rings
from tests.backends import foreign
from tests.services import mariadb_server, milvus_server, swift_server

ENVIRONMENT = os.environ  # noqa: TID251  # tests have no settings
STORES = ("memory", "milvus-lite", "milvus", "tencent", "tencent+grpc")
FOREIGN = {
    "milvus-lite": "milvus",
    "milvus": "milvus",
    "tencent": "tencent",
    "tencent+grpc": "tencent",
}
PARTS = ("collections", "filters", "foreign", "indexes", "records", "search")
pytest.register_assert_rewrite(*(f"imgsearch.testing.contract.test_{part}" for part in PARTS))


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep exported models out of the user's cache, also in child processes."""
    ENVIRONMENT["IMGSEARCH_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(autouse=True)
def logs() -> None:
    """Let our warnings reach `caplog`, even if a library changed logging in an earlier test."""
    logging.disable(logging.NOTSET)
    for name, logger in list(logging.Logger.manager.loggerDict.items()):
        if name.partition(".")[0] == "imgsearch" and isinstance(logger, logging.Logger):
            logger.disabled, logger.propagate, logger.level = False, True, logging.NOTSET
    root = logging.getLogger()
    root.setLevel(min(root.level, logging.WARNING))  # also clears the cache of enabled levels


@pytest.fixture
def word_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make `lite` read texts by its table of words, as without the extra sentences."""
    from imgsearch.encoders.lite import encoder as module
    from imgsearch.encoders.lite.sentences import SentenceModel

    lite = load("lite")
    assert isinstance(lite, module.LiteEncoder)
    monkeypatch.setattr(SentenceModel, "is_installed", staticmethod(lambda: False))
    monkeypatch.setattr(lite, "_texts", module.TextSide(module.targets_file(lite._row)))


@pytest.fixture(scope="module")
def map_by_pca() -> Iterator[None]:
    """Draw maps by principal components, as without the extra map; UMAP takes 15 s to compile."""
    from imgsearch.evaluation import embedding_map

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(embedding_map, "find_spec", lambda _name: None)
        yield


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Return a function that runs the command line in an empty folder, without settings."""
    monkeypatch.chdir(tmp_path)
    for name in settings.VARIABLES:
        monkeypatch.delenv(name, raising=False)

    def run(*words: object, **options: Any) -> Result:
        return CliRunner().invoke(cli, [str(word) for word in words], **options)

    return run


Place = tuple[str, str | None]
"""A store's URL and token."""

# (store, test) → a known difference with its reason: "notimpl" is missing in our code, "notyet"
# in the store, "never" is impossible. If such a test passes, the run fails: remove the line then.
DIFFERENCES: dict[tuple[str, str], tuple[str, str]] = {
    ("memory", "test_records_outlive_the_connection_on_disk"): (
        "never",
        "memory is gone with the process",
    ),
    **{
        ("memory", test): ("never", "no other program writes there")
        for test in (
            "test_collection_of_another_program_is_read_and_never_written",
            "test_collection_of_another_program_is_written_on_request",
            "test_collection_of_another_program_is_read_by_its_own_field_names",
            "test_fields_of_another_program_are_searched_by_name",
        )
    },
    **{
        (store, test): ("never", "the store has no vectors of bits")
        for store in ("milvus-lite", "tencent", "tencent+grpc")
        for test in (
            "test_distance_is_the_number_of_different_bits",
            "test_components_above_zero_are_ones_and_come_back_as_unit_vectors",
            "test_nearest_bits_are_found_in_every_index",
            "test_reopened_collection_keeps_its_metric",
        )
    },
}


def absence(name: str) -> str:
    """Return the reason why a store or chromium is missing here, or ""."""
    match name:
        case "milvus" if not ENVIRONMENT.get("IMGSEARCH_TEST_MILVUS"):
            why = milvus_server.unavailable()
            return why and f"{why}; or IMGSEARCH_TEST_MILVUS names one: milvus://HOST:PORT/DATABASE"
        case "tencent" | "tencent+grpc" if find_spec("tcvectordb") is None:
            return "tcvectordb is not installed: pip install '.[tencent]'"
        case "mariadb":
            return mariadb_server.unavailable()
        case "swift":
            missing = find_spec("boto3") is None and "boto3 is not installed: pip install boto3"
            return missing or swift_server.unavailable()
        case "chromium" if not (which("chromium") and which("chromedriver")):
            return "chromium and chromedriver are not installed"
        case "chromium" if find_spec("selenium") is None:
            return "selenium is not installed"
    return ""


def _place(name: str, folder: Path, running: ExitStack) -> Place:
    """Start the server of a store if needed; return its place. `running` stops the server."""
    match name:
        case "memory":
            return "memory://contract", None
        case "milvus-lite":
            return f"milvus-lite://{folder}/contract.db", None
        case "milvus" if given := ENVIRONMENT.get("IMGSEARCH_TEST_MILVUS"):
            return given, ENVIRONMENT.get("IMGSEARCH_TEST_MILVUS_TOKEN")
        case "milvus":
            from pymilvus.settings import Config

            Config.WaitTimeDurationWhenLoad = 0.02  # seconds between calls; 0.2 by default
            server = running.enter_context(milvus_server.MilvusServer(folder / "milvus"))
            return server.url, server.token
        case "tencent" | "tencent+grpc":
            from imgsearch.testing.tencent import Emulator

            emulator = running.enter_context(Emulator(key="contract-key", rpc_port=0))
            address = emulator.url if name == "tencent" else emulator.rpc_url
            return address.replace("http", name, 1) + "/contract", "contract-key"
        case "swift":  # an S3 service's endpoint and secret; its key is `swift_server.KEY`
            swift = running.enter_context(swift_server.SwiftServer(folder / "swift"))
            return swift.endpoint, swift.secret
    raise LookupError(name)


def _required(name: str) -> bool:
    """Return whether IMGSEARCH_MUST_RUN names the store."""
    return name in ENVIRONMENT.get("IMGSEARCH_MUST_RUN", "").split(",")


def pytest_configure(config: pytest.Config) -> None:
    """Forbid servers, browsers and heavy frameworks in the fast ring."""
    _fast.append(rings.is_fast(config))
    if _fast[-1]:
        rings.Refuse().install()


def pytest_collection_finish() -> None:
    """Spare the garbage collector the modules and tests, 7 % of the processor time of the tests."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of trio, which registers itself at the first import
        import hypothesis  # noqa: F401  # it asks the collector for the referrers of trio's objects

    gc.freeze()


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Skip modules outside the fast ring before they import heavy packages."""
    return True if _fast[-1] and rings.marker_of(collection_path) else None


_fast: list[bool] = []  # whether only the fast ring runs


def at_hand(name: str) -> None:
    """Skip if a store is missing; fail if IMGSEARCH_MUST_RUN names it."""
    if _fast[-1] and name in {*rings.SERVERS, "chromium"}:
        pytest.fail(f"a test of the fast ring needs {name}: mark it in its module")
    if why := absence(name):
        if _required(name):
            pytest.fail(f"no {name}: {why}; IMGSEARCH_MUST_RUN asks for it")
        pytest.skip(f"no {name}: {why}")


@pytest.fixture(scope="session")
def place_of() -> Iterator[Callable[[str], Place]]:
    """Return a function from a store's name to its place, started once; see `at_hand`."""
    places: dict[str, Place] = {}
    with (
        # killed servers may still write
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        ExitStack() as running,
    ):

        def place_of(name: str) -> Place:
            at_hand(name)
            if name not in places:
                places[name] = _place(name, Path(folder), running)
            return places[name]

        yield place_of
        clear_kept()


@pytest.fixture(scope="session")
def servers() -> None:
    """Put the tests of each fixture that requests this one into the ring `servers`."""


@pytest.fixture(scope="session")
def mariadb(servers: None) -> Iterator[mariadb_server.MariaDBServer]:
    """Return a running server for catalogs; see `at_hand`."""
    at_hand("mariadb")
    with (
        tempfile.TemporaryDirectory() as folder,  # a short path, because it contains a socket
        mariadb_server.MariaDBServer(Path(folder)) as server,
    ):
        yield server


@pytest.fixture(params=STORES)
def bench(request: pytest.FixtureRequest, place_of: Callable[[str], Place]) -> Iterator[Bench]:
    """Return each store in turn, with the known differences marked."""
    name = request.param
    if known := DIFFERENCES.get((name, request.node.originalname)):
        request.applymarker(pytest.mark.xfail(strict=True, reason=": ".join(known)))
    url, token = place_of(name)
    create = getattr(foreign, FOREIGN.get(name, ""), None)
    bench = Bench(name, url, connect(url, token=token), token, create)
    yield bench
    bench.clear()


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Stop the servers after the last test of a worker that needs them.

    An idle Milvus takes 15 % of a core, and the servers' tests run first.
    """
    if rings.needs_server(item) and not (nextitem and rings.needs_server(nextitem)):
        for name in ("place_of", "mariadb"):
            for fixture in item.session._fixturemanager.getfixturedefs(name, item) or ():
                fixture.finish(item._request)  # type: ignore[attr-defined]  # with its dependents


@pytest.hookimpl(wrapper=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Generator[None]:
    """Keep one test of a missing store as a report, or all tests if the store must run."""
    names = (*STORES, "mariadb", "swift")
    absent = {name for name in names if absence(name) and not _required(name)}
    seen: set[str] = set()
    kept = []
    for item in items:
        call = getattr(item, "callspec", None)
        params = call.params if call else {}
        name = params.get("bench") or params.get("database") or params.get("shelf", "")
        if not (name in absent and name in seen):
            kept.append(item)
        seen.add(name)
    rings.mark(kept)
    items[:] = rings.ordered(kept)
    return (yield)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run if a test was skipped and IMGSEARCH_NO_SKIP, set by CI, forbids it."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter and reporter.stats.get("skipped") and ENVIRONMENT.get("IMGSEARCH_NO_SKIP"):
        reporter.write_line("a test was skipped, and IMGSEARCH_NO_SKIP is set")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
