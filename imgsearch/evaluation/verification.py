"""A second look at near-duplicates: their files are read again and compared at full size.

A high score does not prove that two images are the same picture, because pages of text and frames
of a film score high, too. `Verification` compares the pixels and records the verdicts. Of pairs
below the threshold it compares only those with similar signatures, because most are different.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any, Final, Literal

import numpy as np
from PIL import Image

from imgsearch import images
from imgsearch.errors import ImageError, SourceError
from imgsearch.evaluation.copies import compare_copies
from imgsearch.evaluation.pixel_similarity import EDGE, Verdict
from imgsearch.evaluation.signatures import Signatures, signatures, similar
from imgsearch.images import sources
from imgsearch.library.duplicates import Member

_CACHED: Final = 24  # pictures of 2.4 MB; a kept image is compared with several in a row
_SIGNED: Final = 1_000  # signatures of 15 kB; an image may be a candidate for many
_CONTENT: Final = re.compile(r"[0-9a-f]{64}")  # an id that is its content's hash


@dataclass(frozen=True, slots=True)
class Unverified:
    """A pair that is near by score or by signature, but was not verified as the same picture.

    `verdict` is "different", "unclear" if pixels cannot decide, or "unread" if a file cannot be
    read or has changed since it was added.
    """

    kept: Member
    other: Member
    verdict: Verdict | Literal["unread"]
    reason: str

    def to_dict(self) -> dict[str, Any]:
        """Return it ready for JSON."""
        members = {
            name: {"id": member.id, "fields": dict(member.fields)}
            for name, member in (("kept", self.kept), ("other", self.other))
        }
        facts = {"score": self.other.score, "verdict": self.verdict, "reason": self.reason}
        return {**members, **facts}


@dataclass(frozen=True, slots=True)
class Counts:
    """The number of pairs by the verdict at full size.

    Pairs below the threshold count where they are the same picture or unclear. `skipped` pairs were
    not compared, because nearer ones of the same image were different.
    """

    same: int = 0
    different: int = 0
    unclear: int = 0
    unread: int = 0
    skipped: int = 0

    @property
    def unverified(self) -> int:
        """The number of pairs that are near by score and were not verified."""
        return self.different + self.unclear + self.unread + self.skipped

    def to_dict(self) -> dict[str, int]:
        """Return it ready for JSON."""
        return asdict(self)


class Verification:
    """A second look for `duplicates.groups` that records the pairs it could not verify.

    >>> from imgsearch.library.duplicates import Member
    >>> look = Verification()
    >>> one, other = Member("a", 1.0, {"path": "no.jpg"}), Member("b", 0.9, {"path": "no.png"})
    >>> look(one, other, near=True)
    >>> look.counts.unread
    1
    """

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._unverified: list[Unverified] = []
        self._picture = lru_cache(_CACHED)(_picture)
        self._signatures = lru_cache(_SIGNED)(self._signed)

    def __call__(self, kept: Member, other: Member, *, near: bool) -> bool | None:
        """Return whether two images show the same picture, None if a file cannot be read."""
        verdict, reason = self._verdict(kept, other, near=near)
        if not near and verdict in {"different", "unread"}:
            return None if verdict == "unread" else False
        self._counts[verdict] += 1
        if verdict != "same":
            self._unverified.append(Unverified(kept, other, verdict, reason))
        return {"same": True, "different": False, "unclear": False}.get(verdict)

    def pass_over(self, pairs: int) -> None:
        """Count pairs that were not compared."""
        self._counts["skipped"] += pairs

    @property
    def counts(self) -> Counts:
        """The number of pairs by verdict."""
        return Counts(**self._counts)

    @property
    def unverified(self) -> Sequence[Unverified]:
        """The pairs that are not verified, in the order of comparison."""
        return tuple(self._unverified)

    def _verdict(
        self, kept: Member, other: Member, *, near: bool
    ) -> tuple[Verdict | Literal["unread"], str]:
        known: list[Signatures] = []
        pictures: list[Image.Image] = []
        for member in (kept, other):
            signed = self._signatures(str(member.fields.get("path", "")), member.id)
            if isinstance(signed, str):
                return "unread", signed
            known.append(signed)
        if not near and not similar(*known):
            return "different", "nothing in them matches"
        for member in (kept, other):
            picture = self._picture(str(member.fields.get("path", "")), member.id)
            if isinstance(picture, str):
                return "unread", picture
            pictures.append(picture)
        found = compare_copies(pictures[0], pictures[1], (known[0], known[1]))
        return found.verdict, found.reason

    def _signed(self, path: str, id_: str) -> Signatures | str:
        """Return a file's signatures, or the reason why it cannot be read."""
        picture = self._picture(path, id_)
        return picture if isinstance(picture, str) else signatures(np.asarray(picture))


def _picture(path: str, id_: str) -> Image.Image | str:
    """Return a file's picture, of at most 1,024 pixels a side, or the reason why it is missing."""
    try:
        data = sources.read(path)
        if _CONTENT.fullmatch(id_) and sources.content_id(data) != id_:
            return f"{path}: the file has changed since it was added"
        picture = images.picture(data, path=path, at_least=EDGE)
    except (ImageError, SourceError) as error:
        return str(error)
    picture.thumbnail((EDGE, EDGE))
    return picture
