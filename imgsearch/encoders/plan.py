"""What is to be built, in plain values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Plan:
    """A model to build.

    `name` is timm's, `label` the one in fingerprints, `defaults` options that all others go before.
    """

    name: str
    label: str
    defaults: Mapping[str, Any] = field(default_factory=dict)
