"""An emulator of Tencent Cloud VectorDB's protocols for testing clients.

It is based on Tencent's public documentation and the SDK's source, and was never compared with the
real service. README.md lists which behavior is documented and which is a guess.
"""

from imgsearch.testing.tencent.emulator import Emulator
from imgsearch.testing.tencent.faults import Faults

__all__ = ["Emulator", "Faults"]
