"""Emulated faults of a cloud service, which tests can switch on while the emulator runs."""

import threading
from dataclasses import dataclass
from typing import Final

from imgsearch.errors import ConfigError

MAX_SLOW: Final = 60.0  # seconds, so that a forgotten fault does not block a test run


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault for one call.

    The call is delayed by `seconds`. If `status` is set, the response is this HTTP status, or a
    dropped connection for 0; the call is executed first only if `applied` is True. If `code` is
    set, the response has this error code, and the call is not executed. `path` restricts the fault
    to one call.
    """

    path: str = ""
    seconds: float = 0.0
    status: int | None = None
    applied: bool = False
    code: int = 0
    message: str = ""


class Faults:
    """The emulated faults. Attributes apply to all calls; methods queue faults for the next calls.

    Attributes:
        lag: the number of eventually consistent reads of a collection that miss its latest writes.
            `math.inf` lasts until `Emulator.settle()`. Strongly consistent reads see all writes.
        building: the number of searches, rebuilds and describe calls that find a collection's index
            still being built after an upsert or rebuild. `math.inf` lasts until `settle()`. Such
            searches and rebuilds get error code 13101.
        flat_frozen: whether collections with a FLAT index reject deletes (13200) and updates
            (13201).
        `unauthorised`: the HTTP status for a wrong account or key, which is not documented.
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
        """Respond to the next `calls` calls with an HTTP error status, or its gRPC equivalent.

        If `applied` is True, the call is executed first, as if a gateway lost the response. `path`
        restricts the fault to one call, such as "/document/upsert".

        Raises:
            ConfigError: `status` is not an HTTP error status, or `calls` is below 1.
        """
        if not 400 <= status <= 599:
            raise ConfigError(f"HTTP status {status} is not an error. Pass 400 to 599.")
        self._add(Fault(path, status=status, applied=applied), calls)

    def refuse(
        self, code: int, message: str = "refused", *, calls: int = 1, path: str = ""
    ) -> None:
        """Respond to the next `calls` calls with an error code, without executing them.

        Raises:
            ConfigError: `code` is 0, or `calls` is below 1.
        """
        if code == 0:
            raise ConfigError("code 0 is success. Pass the code of an error.")
        self._add(Fault(path, code=code, message=message), calls)

    def drop(self, *, calls: int = 1, applied: bool = False, path: str = "") -> None:
        """Drop the connection of the next `calls` calls without a response.

        Raises:
            ConfigError: `calls` is below 1.
        """
        self._add(Fault(path, status=0, applied=applied), calls)

    def slow(self, seconds: float, *, calls: int = 1, path: str = "") -> None:
        """Delay the next `calls` calls by `seconds`, or until the emulator is closed.

        Raises:
            ConfigError: `seconds` is not in 0 to 60, or `calls` is below 1.
        """
        if not 0 <= seconds <= MAX_SLOW:
            raise ConfigError(f"delay {seconds} s is out of range. Pass 0 to {MAX_SLOW:.0f}.")
        self._add(Fault(path, seconds=seconds), calls)

    def clear(self) -> None:
        """Remove the queued faults. The attributes are kept."""
        with self._lock:
            self._queue.clear()

    def take(self, path: str) -> Fault:
        """Remove and return the oldest queued fault for a call, or return an empty fault."""
        with self._lock:
            for i, fault in enumerate(self._queue):
                if fault.path in ("", path):
                    return self._queue.pop(i)
        return Fault()

    def _add(self, fault: Fault, calls: int) -> None:
        if calls < 1:
            raise ConfigError(f"calls={calls} is too small. Pass at least 1.")
        with self._lock:
            self._queue += [fault] * calls
