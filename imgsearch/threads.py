"""A thread pool that does not keep the process alive, the number of cores, and threads' memory."""

import math
import os
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any, Final, TypeVar

from typing_extensions import override

T = TypeVar("T")
_Task = tuple[Future[Any], Callable[[], Any]]


@dataclass(slots=True, eq=False)
class _State:
    """State that a pool shares with its threads, which hold no reference to the pool itself."""

    most: int
    name: str
    tasks: deque[_Task] = field(default_factory=deque)
    changed: threading.Condition = field(default_factory=threading.Condition)
    threads: set[threading.Thread] = field(default_factory=set)
    idle: int = 0
    closed: bool = False


class DaemonPool(Executor):
    """An executor like `ThreadPoolExecutor`, but the interpreter exits without joining its threads.

    A thread of the standard executor that hangs in a decoder keeps the process alive forever.
    Leaving a `with` block waits for all tasks, as in the standard executor.

    >>> with DaemonPool(2, "example") as pool:
    ...     list(pool.map(abs, [-1, 2]))
    [1, 2]
    """

    def __init__(self, threads: int, name: str) -> None:
        self._state = _State(threads, name)
        # the threads end when the pool is garbage collected
        self._ending: Final = weakref.finalize(self, _end, self._state, drop=False)

    @override
    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Schedule a call of `fn` in a thread, and return its future.

        Raises:
            RuntimeError: the pool is closed.
        """
        future: Future[T] = Future()
        state = self._state
        with state.changed:
            if state.closed:
                raise RuntimeError(f"the pool {state.name} is closed")
            state.tasks.append((future, partial(fn, *args, **kwargs)))
            _start(state)
        return future

    def resize(self, threads: int) -> None:
        """Set the number of threads. Surplus threads end after their current task."""
        with self._state.changed:
            self._state.most = threads
            _start(self._state)

    @override
    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Close the pool. With `wait`, block until all threads have ended.

        With `cancel_futures`, cancel the tasks that have not started.
        """
        self.close(None if wait else 0, drop=cancel_futures)

    def close(self, seconds: float | None = None, *, drop: bool = True) -> bool:
        """Reject new tasks and wait until all threads have ended, at most `seconds` if given.

        With `drop`, cancel the tasks that have not started. Returns whether all threads have ended.
        """
        _end(self._state, drop=drop)
        deadline = None if seconds is None else time.monotonic() + seconds
        with self._state.changed:  # the threads remove themselves
            threads = list(self._state.threads)
        for thread in threads:
            if thread is not threading.current_thread():
                thread.join(None if deadline is None else max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in threads)


def _start(state: _State) -> None:
    """Start threads for the waiting tasks, and wake the idle threads."""
    while len(state.threads) < state.most and state.idle < len(state.tasks):
        thread = threading.Thread(
            target=_work, args=(state,), name=f"{state.name}-{len(state.threads)}", daemon=True
        )
        state.threads.add(thread)
        state.idle += 1
        thread.start()
    state.changed.notify_all()


def _work(state: _State) -> None:
    """Run tasks until the pool is closed, or has too many threads."""
    while (task := _next(state)) is not None:
        future, call = task
        if future.set_running_or_notify_cancel():
            try:
                result = call()
            except BaseException as error:  # noqa: BLE001 - the caller gets it
                future.set_exception(error)
            else:
                future.set_result(result)
                del result
        del task, future, call  # an idle thread must not keep them alive
        with state.changed:
            state.idle += 1


def _next(state: _State) -> _Task | None:
    """Wait for a task and return it, or None if the thread has to end.

    The calling thread is idle until this returns.
    """
    with state.changed:
        while True:
            too_many = len(state.threads) > state.most
            if not too_many and state.tasks:
                state.idle -= 1
                return state.tasks.popleft()
            if too_many or state.closed:
                state.idle -= 1
                state.threads.discard(threading.current_thread())
                return None
            state.changed.wait()


def _end(state: _State, *, drop: bool) -> None:
    """Reject new tasks. With `drop`, cancel the waiting tasks."""
    with state.changed:
        state.closed = True
        dropped = list(state.tasks) if drop else []
        if drop:
            state.tasks.clear()
        state.changed.notify_all()
    for future, _ in dropped:
        future.cancel()
        future.set_running_or_notify_cancel()


_M_ARENA_MAX: Final = -8  # malloc.h of glibc
_CGROUPS: Final = Path("/sys/fs/cgroup")
_limits: Final[list[int]] = []
_granted: Final[ContextVar[int | None]] = ContextVar("granted", default=None)


def available_cores() -> int:
    """Return the number of cores that this process may use, at least 1.

    It is the least of the affinity mask, the quota of the container, rounded up, and the limits of
    `limited_cores` and `granted_cores`.
    """
    if hasattr(os, "sched_getaffinity"):  # not on macOS or Windows
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    quota, granted = math.ceil(_quota()), _granted.get()
    return max(1, min([cores, *_limits, *(limit for limit in (quota, granted) if limit)]))


@contextmanager
def limited_cores(number: int | None) -> Iterator[None]:
    """Limit `available_cores` in this process while the block runs. None is no limit.

    >>> with limited_cores(1):
    ...     available_cores()
    1
    """
    if number is None:
        yield
        return
    _limits.append(number)
    try:
        yield
    finally:
        _limits.remove(number)


@contextmanager
def granted_cores(number: int | None) -> Iterator[None]:
    """Limit `available_cores` in this thread while the block runs. None is no limit."""
    token = _granted.set(number)
    try:
        yield
    finally:
        _granted.reset(token)


def share_memory() -> None:
    """Let the threads of this process allocate from as many pools of glibc as there are cores.

    Otherwise up to 8 pools for each core are made, and each keeps the memory of the largest images
    that its threads decoded: 70 MB on 2 cores. It cannot be undone, so it is for processes of our
    own. Has no effect with another C library, or where threads have more pools already.
    """
    if sys.platform == "linux":
        import ctypes

        with suppress(AttributeError, OSError):
            ctypes.CDLL(None).mallopt(_M_ARENA_MAX, max(2, available_cores()))


@cache
def _quota() -> float:
    """Return the cores that the container's quota allows, 0 without a quota."""
    try:
        lines = Path("/proc/self/cgroup").read_text("utf-8").splitlines()
    except (OSError, ValueError):
        return 0.0
    return quota_of(lines, _CGROUPS)


def quota_of(lines: list[str], root: Path) -> float:
    """Return the least quota of the cgroups in the lines of ``/proc/self/cgroup``, 0 without one.

    Sources: docs.kernel.org, "Control Group v2", cpu.max; "CFS Bandwidth Control", cpu.cfs_quota_us
    """
    quotas: list[float] = []
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, name = rest.partition(":")
        if controllers and "cpu" not in controllers.split(","):
            continue
        base = root / "cpu" if controllers else root
        folder = base / name.strip("/")
        parents = [parent for parent in folder.parents if parent.is_relative_to(base)]
        quotas += [_quota_in(place) for place in (folder, *parents)]
    return min(filter(None, quotas), default=0.0)


def _quota_in(folder: Path) -> float:
    """Return the quota of one cgroup in cores, 0 without one."""
    try:
        if (folder / "cpu.max").is_file():
            quota, period = (folder / "cpu.max").read_text("ascii").split()
        else:
            quota = (folder / "cpu.cfs_quota_us").read_text("ascii")
            period = (folder / "cpu.cfs_period_us").read_text("ascii")
        return max(0.0, float(quota) / float(period))
    except (OSError, ValueError, ZeroDivisionError):  # "max", or no limit
        return 0.0
