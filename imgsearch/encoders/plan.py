"""What is to be built, in plain values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Plan:
    """A model to build.

    `family` is "timm", "clip" or "towhee", which say whose code it is; `name` is the family's,
    `label` the one in fingerprints; `defaults` are options that all others go before, `languages`
    those of its texts.
    """

    family: str
    name: str
    label: str
    defaults: Mapping[str, Any] = field(default_factory=dict)
    languages: tuple[str, ...] = ()
