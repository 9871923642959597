"""An emulator of Tencent Cloud VectorDB's protocols, for testing code that speaks them.

It was written from Tencent's public documentation and the SDK's source, and never compared with
the service: README.md says of every behaviour which it is.
"""

from imgsearch.testing.tencent.emulator import Emulator
from imgsearch.testing.tencent.faults import Faults

__all__ = ["Emulator", "Faults"]
