"""What a cloud does and a test wants to see, switched on while the emulator runs."""

import threading
from dataclasses import dataclass
from typing import Final

from imgsearch.errors import ConfigError

MAX_SLOW: Final = 60.0  # seconds; a forgotten fault must not hang a test run


@dataclass(frozen=True, slots=True)
class Fault:
    """One disturbance of one call.

    `seconds` to wait first; then, where `status` is not None, that HTTP status is all the caller
    gets (0: the connection is dropped), with the call done before where `applied`. A `code` is
    answered in the ordinary envelope instead, nothing done.
    """

    path: str = ""
    seconds: float = 0.0
    status: int | None = None
    applied: bool = False
    code: int = 0
    message: str = ""


class Faults:
    """The switches. Attributes last until they are set again; methods queue faults for next calls.

    Attributes:
        lag: how many eventually consistent reads of a collection miss its newest writes;
            `math.inf` is until `Emulator.settle()`. Strongly consistent reads miss nothing.
        building: how many searches, rebuilds and looks at a collection (describe) find its index
            still building after an upsert or a rebuild; `math.inf` is until `settle()`. A search
            or a rebuild is answered 13101 then.
        flat_frozen: whether collections with a FLAT index refuse deletes (13200) and updates
            (13201).
        unauthorised: the HTTP status for a wrong account or key, which is documented nowhere.
    """

    def __init__(
        self,
        *,
        lag: float = 0,
        building: float = 0,
        flat_frozen: bool = False,
        unauthorised: int = 401,
    ) -> None:
        self.lag, self.building = lag, building
        self.flat_frozen, self.unauthorised = flat_frozen, unauthorised
        self._queue: list[Fault] = []
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return (
            f"<Faults lag={self.lag} building={self.building} flat_frozen={self.flat_frozen} "
            f"queued={len(self._queue)}>"
        )

    def fail(
        self, status: int = 503, *, calls: int = 1, applied: bool = False, path: str = ""
    ) -> None:
        """Answer the next `calls` with an HTTP status (gRPC: the status that it maps to).

        `applied`: the call is carried out first, as when the answer is lost behind a gateway.
        `path` restricts the fault to one call, such as "/document/upsert".

        Raises:
            ConfigError: `status` is no HTTP error status, or `calls` is below 1.
        """
        if not 400 <= status <= 599:
            raise ConfigError(f"{status} is no HTTP status of an error: give one in 400 to 599")
        self._add(Fault(path, status=status, applied=applied), calls)

    def refuse(
        self, code: int, message: str = "refused", *, calls: int = 1, path: str = ""
    ) -> None:
        """Answer the next `calls` with a code in the ordinary envelope; nothing is done.

        Raises:
            ConfigError: `code` is 0, or `calls` is below 1.
        """
        if code == 0:
            raise ConfigError("code 0 is success: give the code of an error")
        self._add(Fault(path, code=code, message=message), calls)

    def drop(self, *, calls: int = 1, applied: bool = False, path: str = "") -> None:
        """Drop the connection of the next `calls` without an answer.

        Raises:
            ConfigError: `calls` is below 1.
        """
        self._add(Fault(path, status=0, applied=applied), calls)

    def slow(self, seconds: float, *, calls: int = 1, path: str = "") -> None:
        """Wait before serving the next `calls`; closing the emulator ends the wait.

        Raises:
            ConfigError: `seconds` is not in 0 to 60, or `calls` is below 1.
        """
        if not 0 <= seconds <= MAX_SLOW:
            raise ConfigError(f"slow by {seconds} seconds: give 0 to {MAX_SLOW:.0f}")
        self._add(Fault(path, seconds=seconds), calls)

    def clear(self) -> None:
        """Forget the queued faults; the attributes stay."""
        with self._lock:
            self._queue.clear()

    def take(self, path: str) -> Fault:
        """Return the oldest fault queued for a call, and forget it; an empty one where none is."""
        with self._lock:
            for i, fault in enumerate(self._queue):
                if fault.path in ("", path):
                    return self._queue.pop(i)
        return Fault()

    def _add(self, fault: Fault, calls: int) -> None:
        if calls < 1:
            raise ConfigError(f"{calls} calls: give at least 1")
        with self._lock:
            self._queue += [fault] * calls
