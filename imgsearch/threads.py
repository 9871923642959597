"""A thread pool that does not keep the process alive."""

import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from functools import partial
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
