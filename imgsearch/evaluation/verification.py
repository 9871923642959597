"""A second look at near-duplicates: their files are read again and compared at full size.

Scores say that two images are near, not that they are one: pages of text and frames of a film are
near, too. `Verification` is asked before an image is taken for a copy, and keeps account.
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

_AT_HAND: Final = 24  # pictures of 2.4 MB; a kept image is compared with several in a row
_CONTENT: Final = re.compile(r"[0-9a-f]{64}")  # an id that is its content's hash


@dataclass(frozen=True, slots=True)
class Unverified:
    """A pair of near-duplicates by score that is not one by its pixels, or may not be.

    `verdict` is "different", "unclear" where pixels cannot tell, or "unread" where a file cannot be
    read or has changed since it was added.
    """

    kept: Member
    other: Member
    verdict: Verdict | Literal["unread"]
    reason: str

    def to_dict(self) -> dict[str, Any]:
        """Return it ready for JSON."""
        members = {
            name: {"id": each.id, "fields": dict(each.fields)}
            for name, each in (("kept", self.kept), ("other", self.other))
        }
        facts = {"score": self.other.score, "verdict": self.verdict, "reason": self.reason}
        return {**members, **facts}


@dataclass(frozen=True, slots=True)
class Counts:
    """How many pairs of near-duplicates were compared at full size, by verdict.

    `skipped` pairs were not: their images had other, nearer ones that turned out to be different.
    """

    same: int = 0
    different: int = 0
    unclear: int = 0
    unread: int = 0
    skipped: int = 0

    @property
    def unverified(self) -> int:
        """How many pairs are near by their score and were not found to be the same."""
        return self.different + self.unclear + self.unread + self.skipped

    def to_dict(self) -> dict[str, int]:
        """Return it ready for JSON."""
        return asdict(self)


class Verification:
    """A second look for `duplicates.groups`, which remembers what it could not verify.

    >>> from imgsearch.duplicates import Member
    >>> look = Verification()
    >>> look(Member("a", 1.0, {"path": "gone.jpg"}), Member("b", 0.9, {"path": "gone.png"}))
    >>> look.counts.unread
    1
    """

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._unverified: list[Unverified] = []
        self._picture = lru_cache(_AT_HAND)(_picture)

    def __call__(self, kept: Member, other: Member) -> bool | None:
        """Return whether two images are one picture; None where a file cannot be read."""
        verdict, reason = self._verdict(kept, other)
        self._counts[verdict] += 1
        if verdict != "same":
            self._unverified.append(Unverified(kept, other, verdict, reason))
        return {"same": True, "different": False, "unclear": False}.get(verdict)

    def pass_over(self, pairs: int) -> None:
        """Count pairs that were not looked at."""
        self._counts["skipped"] += pairs

    @property
    def counts(self) -> Counts:
        """How many pairs were compared, by verdict."""
        return Counts(**self._counts)

    @property
    def unverified(self) -> Sequence[Unverified]:
        """The pairs that are not the same picture, or may not be, in the order of their looks."""
        return tuple(self._unverified)

    def _verdict(self, kept: Member, other: Member) -> tuple[Verdict | Literal["unread"], str]:
        pictures = []
        for each in (kept, other):
            picture = self._picture(str(each.fields.get("path", "")), each.id)
            if isinstance(picture, str):
                return "unread", picture
            pictures.append(picture)
        found = compare(*pictures)
        return found.verdict, found.reason


def _picture(path: str, id_: str) -> Image.Image | str:
    """Return a file's picture, of at most 1,024 pixels a side, or why there is none."""
    try:
        data = sources.read(path)
        if _CONTENT.fullmatch(id_) and sources.content_id(data) != id_:
            return f"{path}: the file has changed since it was added"
        picture = images.picture(data, path=path, at_least=EDGE)
    except (ImageError, SourceError) as error:
        return str(error)
    picture.thumbnail((EDGE, EDGE))
    return picture
