"""Servers that fail while an archive works: nothing acknowledged may be lost.

The archive's Milvus, MariaDB and S3 service are killed, restarted, frozen and cut off, and the S3
service returns 503, slow or half responses, each during each operation that uses the server. The
operation is repeated during the fault and afterwards, in the same process and with the same
archive, until it succeeds. Every failure has to be the typed error of the store, and to come in
time. Then every acknowledged image must be found and every acknowledged deletion must have
happened, after `repair`.
"""

import faulthandler
import random
import sys
import tempfile
import threading
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

from imgsearch.archive import CollectionOptions, opened
from imgsearch.errors import BackendUnavailable, CatalogError, ImgSearchError, ObjectStoreError
from tests.soak.fault_servers import FAULTS, LEASE, servers
from tests.soak.fault_work import Work

TIMEOUT = 2.0  # seconds: `timeout` of the archive
LASTS = 4.0  # seconds that a fault lasts: more than the time limit
# Seconds that an attempt may take: S3 requests are sent three times, with pauses of up to 3 s in
# all; a connection of a pool may be found dead before; the rest is for a busy machine.
LIMIT = 4 * TIMEOUT + 3 + 10
STOCK = 36  # images before a fault, because deletions may succeed during it
PAUSE = 0.3  # seconds between attempts
RECOVERY = 90.0  # seconds until an operation succeeds once its server is back
ERRORS = {"milvus": BackendUnavailable, "mariadb": CatalogError, "s3": ObjectStoreError}
OPERATIONS = {  # the operations that use a server
    "milvus": ("upload", "load", "job", "delete", "search", "copy", "library"),
    "mariadb": ("upload", "load", "job", "delete", "search"),
    "s3": ("upload", "load", "job", "delete", "read"),
}
FEW = tuple((store, fault, "upload") for store in FAULTS for fault in ("restart", "freeze"))


@dataclass
class Trial:
    """A fault: attempts that failed during it and after it, and times in seconds."""

    store: str
    fault: str
    operation: str
    failed: int = 0
    succeeded: int = 0
    longest: float = 0.0
    recovery: float = 0.0
    last: str = ""
    problems: list[str] = field(default_factory=list)


def every(rounds=1):
    """Return all trials: stores, faults and operations."""
    return [
        (store, fault, operation)
        for _ in range(rounds)
        for store, faults in FAULTS.items()
        for fault in faults
        for operation in OPERATIONS[store]
    ]


def main(number=0, trials=(), lasts=LASTS, lease=LEASE):
    """Run all trials, or `number` of them in a random order, and print a table of the faults.

    `trials` are the store, the fault and the operation of each. Returns their results.
    """
    chosen = list(trials) or every()
    if number:
        random.Random(22).shuffle(chosen)  # noqa: S311
        chosen = (chosen * -(-number // len(chosen)))[:number]
    print(f"faults: {len(chosen)} of {lasts:g} s, time limit {TIMEOUT:g} s", flush=True)
    started = monotonic()
    with tempfile.TemporaryDirectory() as name, ExitStack() as running:
        folder = Path(name).resolve()
        places = running.enter_context(servers(folder, lease))
        arguments = places.arguments()
        pictures = folder / "bilder"
        archive = running.enter_context(
            opened(
                folder / "archive",
                timeout=TIMEOUT,
                creation=CollectionOptions("classic"),
                roots=[pictures],
                **arguments,
            )
        )
        work = Work(archive, pictures, running, token=arguments["token"], timeout=TIMEOUT)
        work.library()()
        moments = random.Random(4)  # noqa: S311
        results = []
        for chosen_one in chosen:
            trial = Trial(*chosen_one)
            while len(work.stored) < STOCK:
                work.load()()
            results.append(trial)
            _run(trial, work, places.places[trial.store], lasts, moments.uniform(0, 0.3))
            print(f"  {_line(trial)}", flush=True)
    _report(results, monotonic() - started, work)
    wrong = [_line(trial) for trial in results if trial.problems]
    assert not wrong, "\n".join(wrong)
    return results


def _run(trial, work, place, lasts, moment):
    """Repeat the operation while its server fails, and until it succeeds afterwards; then check."""
    operation = getattr(work, trial.operation)
    over, done, pause = threading.Event(), threading.Event(), threading.Event()

    def attempts():
        act = operation()
        while True:
            after, started = over.is_set(), monotonic()
            error = _attempt(act)
            seconds = monotonic() - started
            if error is None:
                trial.succeeded += 1
                if after:
                    break
                act = operation()
                pause.wait(PAUSE)
            else:
                trial.failed += 1
                trial.longest = max(trial.longest, seconds)
                _judge(trial, error, seconds)
                pause.wait(PAUSE)
            if trial.problems and after:
                break
        done.set()

    thread = threading.Thread(target=attempts, daemon=True)
    thread.start()
    over.wait(moment)
    with place.fault(trial.fault):
        done.wait(lasts)
    lifted = monotonic()
    over.set()
    if not done.wait(RECOVERY):
        trial.problems.append(f"no success within {RECOVERY:g} s")
        faulthandler.dump_traceback(file=sys.stderr)
        return
    trial.recovery = monotonic() - lifted
    try:
        work.check()
    except (AssertionError, ImgSearchError) as error:
        trial.problems.append(f"check: {type(error).__name__}: {error}")


def _attempt(act):
    """Run an operation; return its error, or None."""
    try:
        act()
    except Exception as error:  # noqa: BLE001  # its type is judged
        return error
    return None


def _judge(trial, error, seconds):
    """Note an error that is not the store's, or that came late."""
    wanted, trial.last = ERRORS[trial.store], f"{type(error).__name__}: {error}"[:200]
    if not isinstance(error, wanted):
        trial.problems.append(f"{type(error).__name__}, not {wanted.__name__}: {str(error)[:300]}")
    if seconds > LIMIT:
        trial.problems.append(f"the error came after {seconds:.0f} s")


def _line(trial):
    result = "; ".join(dict.fromkeys(trial.problems)) or f"ok ({trial.last})"
    return (
        f"{trial.store} {trial.fault} {trial.operation}: {trial.failed} failed, longest "
        f"{trial.longest:.1f} s; back after {trial.recovery:.1f} s; {result}"
    )


def _report(trials, seconds, work):
    """Print a table of the faults by store, and the problems."""
    print("  | store | fault | faults: attempts that failed, by operation |")
    for store, faults in FAULTS.items():
        for fault in faults:
            some = [one for one in trials if (one.store, one.fault) == (store, fault)]
            counts = Counter()
            for one in some:
                counts[one.operation] += one.failed
            cells = ", ".join(f"{name} {count}" for name, count in counts.items())
            if some:
                print(f"  | {store} | {fault} | {len(some)}: {cells} |")
    longest = max(trial.longest for trial in trials)
    recovery = max(trial.recovery for trial in trials)
    wrong = sum(bool(trial.problems) for trial in trials)
    print(
        f"  {len(trials)} faults, {sum(one.failed for one in trials)} failed attempts, the longest "
        f"{longest:.1f} s; success at most {recovery:.1f} s after the fault; {len(work.stored)} "
        f"images stored, {len(work.deleted)} deleted; {wrong} with problems; {seconds:.0f} s"
    )


if __name__ == "__main__":
    words = [word.split("/") for word in sys.argv[1:]]
    main(trials=[tuple(word) for word in words])
