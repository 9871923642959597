"""A second look at near-duplicates: their files are read again and compared at full size.

A high score does not prove that two images are the same picture, because pages of text and frames
of a film score high, too. `Verification` compares the pixels and records the verdicts.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any, Final, Literal

from PIL import Image

from imgsearch import images, sources
from imgsearch.duplicates import Member
from imgsearch.errors import ImageError, SourceError
from imgsearch.evaluation.pixel_similarity import EDGE, Verdict, compare

_CACHED: Final = 24  # pictures of 2.4 MB; a kept image is compared with several in a row
_CONTENT: Final = re.compile(r"[0-9a-f]{64}")  # an id that is its content's hash


@dataclass(frozen=True, slots=True)
class Unverified:
    """A pair that is near by score, but was not verified as the same picture.

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
    """The number of pairs of near-duplicates by the verdict at full size.

    `skipped` pairs were not compared, because nearer ones of the same image were different.
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

    >>> from imgsearch.duplicates import Member
    >>> look = Verification()
    >>> look(Member("a", 1.0, {"path": "gone.jpg"}), Member("b", 0.9, {"path": "gone.png"}))
    >>> look.counts.unread
    1
    """

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._unverified: list[Unverified] = []
        self._picture = lru_cache(_CACHED)(_picture)

    def __call__(self, kept: Member, other: Member) -> bool | None:
        """Return whether two images show the same picture, None if a file cannot be read."""
        verdict, reason = self._verdict(kept, other)
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

    def _verdict(self, kept: Member, other: Member) -> tuple[Verdict | Literal["unread"], str]:
        pictures = []
        for member in (kept, other):
            picture = self._picture(str(member.fields.get("path", "")), member.id)
            if isinstance(picture, str):
                return "unread", picture
            pictures.append(picture)
        found = compare(*pictures)
        return found.verdict, found.reason


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
