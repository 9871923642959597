"""The signatures of files that de-duplication remembers, in a log of the store's notes.

A signature is the vector of a small encoder such as `classic`. It is valid as long as its file has
the same size and time. A signature takes one byte a number: `classic` takes 1 MB for 1,000 images.
"""

import base64
import binascii
from collections.abc import Collection as Identities
from typing import Any, Final

import numpy as np

from imgsearch.backends import Collection, VectorBackend
from imgsearch.backends.note_log import Head, NoteLog, packed, unpacked
from imgsearch.types import Fingerprint, Vector

KIND: Final = "signatures"
"""The name of the log."""

_STEPS: Final = 127  # of a number in a signature: the largest signed byte
_ROWS: Final = 60  # signatures of `classic` in a part
_SAVED: Final = 2_000  # new signatures after which they are saved: some 10 seconds of work


class SignatureMemory:
    """Signatures by the identities of files; see `duplicate_memory.identity_of`. Not thread-safe.

    Signatures of another encoder are forgotten, and so are all if `again` is True. Another
    program's collection, and one without an encoder, has no memory: nothing is kept.
    """

    def __init__(
        self,
        store: VectorBackend,
        collection: Collection,
        encoder: Fingerprint,
        *,
        again: bool = False,
    ) -> None:
        self._writable = collection.keeps_notes
        self._facts: dict[str, Any] = {"encoder": encoder.identity()}
        self._log, self._dim = NoteLog(store, collection, KIND), encoder.dim
        self._rows: dict[str, str] = {}
        self._new: dict[str, str] = {}
        self._head = Head()
        head = self._log.head()
        self._valid = not again and head is not None and dict(head.facts) == self._facts
        if head is not None and self._valid:
            self._head = head
            for row in unpacked(self._log.parts(head) or ()):
                self._rows[str(row[0])] = str(row[1])

    def get(self, identity: str) -> Vector | None:
        """Return the signature of a file, float32 (d,) of unit length. Returns None without one."""
        text = self._new.get(identity) or self._rows.get(identity)
        return None if text is None else self._vector(text)

    def keep(self, identity: str, signature: Vector) -> Vector:
        """Keep the signature of a file; return it as `get` will, with rounded numbers."""
        scale = float(np.abs(signature).max(initial=0)) or 1.0
        numbers = np.rint(signature * (_STEPS / scale)).astype(np.int8)
        text = base64.b64encode(numbers.tobytes()).decode()
        self._new[identity] = text
        if len(self._new) >= _SAVED:
            self._save()
        vector = self._vector(text)
        return signature if vector is None else vector

    def finish(self, used: Identities[str]) -> None:
        """Save new signatures. If most of the others are not `used`, they are forgotten."""
        if not self._writable:
            return
        stale = self._rows.keys() - used
        if len(stale) > len(self._rows) // 2:
            self._rows = {key: row for key, row in self._rows.items() if key in used} | self._new
            self._new, self._valid = {}, True
            self._head = self._log.replace(list(packed(self._rows.items(), _ROWS)), self._facts)
        self._save()

    def _save(self) -> None:
        if not (self._writable and self._new):
            return
        parts = list(packed(self._new.items(), _ROWS))
        if self._valid:
            self._head = self._log.append(self._head, parts, self._facts)
        else:
            self._head, self._valid = self._log.replace(parts, self._facts), True
        self._rows |= self._new
        self._new = {}

    def _vector(self, text: str) -> Vector | None:
        try:
            numbers = np.frombuffer(base64.b64decode(text), dtype=np.int8).astype(np.float32)
        except binascii.Error:
            return None
        norm = float(np.linalg.norm(numbers))
        return numbers / np.float32(norm) if len(numbers) == self._dim and norm else None
