"""The service behind both protocols: authorization, faults and dispatch of calls."""

import hmac
import logging
import threading
import uuid
from collections import Counter
from collections.abc import Callable
from typing import Final

from imgsearch.testing.tencent import documents, namespaces
from imgsearch.testing.tencent.codes import SUCCESS, Broken, Refused
from imgsearch.testing.tencent.faults import Fault, Faults
from imgsearch.testing.tencent.schema import Body
from imgsearch.testing.tencent.store import Store

logger = logging.getLogger(__name__)

CALLS: Final = {**namespaces.CALLS, **documents.CALLS}


class Service:
    """The emulator without a network protocol. Thread-safe."""

    def __init__(self, store: Store, faults: Faults, *, account: str, key: str) -> None:
        self.store, self.faults = store, faults
        self.ended = threading.Event()
        self.seen: Counter[str] = Counter()
        self._authorization = f"Bearer account={account}&api_key={key}".encode()
        self._lock = threading.Lock()

    def answer(self, path: str, authorization: str, read: Callable[[], Body]) -> Body:
        """Execute a call. `read` returns the body; it is called only after authorization.

        Returns:
            The envelope: code, msg, requestId and the results of the call.

        Raises:
            Broken: the response is an HTTP error status or a dropped connection.
        """
        with self._lock:
            self.seen[path] += 1
        fault = self.faults.take(path)
        if fault.seconds:
            self.ended.wait(fault.seconds)
        if fault.status is not None and not fault.applied:
            raise Broken(fault.status)
        if not hmac.compare_digest(authorization.encode(), self._authorization):
            raise Broken(self.faults.unauthorised)
        if path not in CALLS:
            raise Broken(404)
        envelope = self._envelope(path, read, fault)
        if fault.status is not None:
            raise Broken(fault.status)
        return envelope

    def _envelope(self, path: str, read: Callable[[], Body], fault: Fault) -> Body:
        request = {"requestId": uuid.uuid4().hex}
        if fault.code:
            return {"code": fault.code, "msg": fault.message, **request}
        try:
            values = self._run(path, read())
        except Refused as refused:
            return {"code": refused.code, "msg": refused.message, **request}
        except OSError:
            logger.exception("the journal cannot be written")
            raise Broken(500) from None
        return {"code": SUCCESS, "msg": "operation success", **request, **values}

    def _run(self, path: str, body: Body) -> Body:
        if path.startswith("/document/"):  # these calls hold the lock only for a part of their time
            return CALLS[path](self.store, body)
        with self.store.lock:
            return CALLS[path](self.store, body)
