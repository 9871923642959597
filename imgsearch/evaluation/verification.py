"""Verification of near-duplicates: their files are read again and compared at full size.

A high score does not prove that two images are the same picture, because pages of text and frames
of a film score high, too. `Verification` compares the pixels and records the verdicts. Most pairs
below the threshold are different, so only those with similar signatures are compared.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any, Final, Literal, cast

import numpy as np
from PIL import Image

from imgsearch import images
from imgsearch.errors import ImageError, SourceError
from imgsearch.evaluation.copy_detection import compare_copies
from imgsearch.evaluation.pixel_similarity import EDGE, Verdict
from imgsearch.evaluation.signatures import Signatures, are_similar, signatures
from imgsearch.images import sources
from imgsearch.library.duplicate_memory import Comparison, identity_of
from imgsearch.library.duplicates import Member

_CACHED: Final = 24  # pictures of 2.4 MB; a kept image is compared several times in a row
_SIGNED: Final = 1_000  # signatures of 15 kB; an image may be a candidate for many others
_METHOD: Final = 1  # counts up when verdicts change, so that old comparisons are not used
_VERDICTS: Final = ("same", "different", "unclear")
_CONTENT: Final = re.compile(r"[0-9a-f]{64}")  # an id that is a content hash


@dataclass(frozen=True, slots=True)
class Unverified:
    """A pair with a high score or similar signatures that was not verified as the same picture.

    `verdict` is "different", "unclear" if pixels cannot decide, or "unread" if a file cannot be
    read or has changed since it was added.
    """

    kept: Member
    other: Member
    verdict: Verdict | Literal["unread"]
    reason: str

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON-serializable values."""
        members = {
            name: {"id": member.id, "fields": dict(member.fields)}
            for name, member in (("kept", self.kept), ("other", self.other))
        }
        facts = {"score": self.other.score, "verdict": self.verdict, "reason": self.reason}
        return {**members, **facts}


@dataclass(frozen=True, slots=True)
class Counts:
    """The number of pairs by verdict.

    Pairs below the threshold count only if the verdict is "same" or "unclear". `skipped` pairs were
    not compared, because nearer pairs of the same image were different.
    """

    same: int = 0
    different: int = 0
    unclear: int = 0
    unread: int = 0
    skipped: int = 0

    @property
    def unverified(self) -> int:
        """The number of pairs that were not verified."""
        return self.different + self.unclear + self.unread + self.skipped

    def to_dict(self) -> dict[str, int]:
        """Return the fields as JSON-serializable values."""
        return asdict(self)


class Verification:
    """A `SecondLook` for `duplicates.groups` that compares pixels and records unverified pairs.

    `known` are earlier comparisons, which are not repeated.

    >>> from imgsearch.library.duplicates import Member
    >>> verification = Verification()
    >>> one, other = Member("a", 1.0, {"path": "no.jpg"}), Member("b", 0.9, {"path": "no.png"})
    >>> verification(one, other, near=True)
    >>> verification.counts.unread
    1
    """

    def __init__(self, known: Mapping[tuple[str, str], Comparison] | None = None) -> None:
        self.compared: dict[tuple[str, str], Comparison] = dict(known or {})
        """The comparisons of readable files, from earlier runs and from this one."""
        self._counts: Counter[str] = Counter()
        self._unverified: list[Unverified] = []
        self._picture = lru_cache(_CACHED)(_read_picture)
        self._signatures = lru_cache(_SIGNED)(self._read_signatures)

    def __call__(self, kept: Member, other: Member, *, near: bool) -> bool | None:
        """Return whether two images show the same picture, or None if a file is unreadable."""
        verdict, reason = self._remembered(kept, other, near=near)
        if not near and verdict in {"different", "unread"}:
            return None if verdict == "unread" else False
        self._counts[verdict] += 1
        if verdict != "same":
            self._unverified.append(Unverified(kept, other, verdict, reason))
        return {"same": True, "different": False, "unclear": False}.get(verdict)

    def pass_over(self, pairs: int) -> None:
        """Count pairs as skipped."""
        self._counts["skipped"] += pairs

    @property
    def counts(self) -> Counts:
        """The number of pairs by verdict."""
        return Counts(**self._counts)

    @property
    def unverified(self) -> Sequence[Unverified]:
        """The unverified pairs in the order of comparison."""
        return tuple(self._unverified)

    def _remembered(
        self, kept: Member, other: Member, *, near: bool
    ) -> tuple[Verdict | Literal["unread"], str]:
        """Return a verdict, which is looked up or remembered if ids are content hashes."""
        files = [
            identity_of(member.id, str(member.fields.get("path", "")))
            for member in sorted((kept, other), key=lambda member: member.id)
            if _CONTENT.fullmatch(member.id)
        ]
        if len(files) < 2 or files[0] is None or files[1] is None:
            return self._verdict(kept, other, near=near)[:2]
        key = (f"{_METHOD} {files[0]}", files[1])
        known = self.compared.get(key)
        if known is not None and known.verdict in _VERDICTS and (known.full or not near):
            return cast("Verdict", known.verdict), known.reason
        verdict, reason, full = self._verdict(kept, other, near=near)
        if verdict != "unread":
            self.compared[key] = Comparison(verdict, reason, full)
        return verdict, reason

    def _verdict(
        self, kept: Member, other: Member, *, near: bool
    ) -> tuple[Verdict | Literal["unread"], str, bool]:
        """Return a verdict, its reason, and whether the pixels were compared."""
        known: list[Signatures] = []
        pictures: list[Image.Image] = []
        for member in (kept, other):
            of_member = self._signatures(str(member.fields.get("path", "")), member.id)
            if isinstance(of_member, str):
                return "unread", of_member, False
            known.append(of_member)
        if not near and not are_similar(*known):
            return "different", "nothing in them matches", False
        for member in (kept, other):
            picture = self._picture(str(member.fields.get("path", "")), member.id)
            if isinstance(picture, str):
                return "unread", picture, False
            pictures.append(picture)
        comparison = compare_copies(pictures[0], pictures[1], (known[0], known[1]))
        return comparison.verdict, comparison.reason, True

    def _read_signatures(self, path: str, id_: str) -> Signatures | str:
        """Return a file's signatures, or the reason why it is unreadable."""
        picture = self._picture(path, id_)
        return picture if isinstance(picture, str) else signatures(np.asarray(picture))


def _read_picture(path: str, id_: str) -> Image.Image | str:
    """Return a file's picture, at most 1,024 pixels a side, or the reason why it is unreadable."""
    try:
        data = sources.read(path)
        if _CONTENT.fullmatch(id_) and sources.content_id(data) != id_:
            return f"{path}: the file has changed since it was added"
        picture = images.picture(data, path=path, at_least=EDGE)
    except (ImageError, SourceError) as error:
        return str(error)
    picture.thumbnail((EDGE, EDGE))
    return picture
