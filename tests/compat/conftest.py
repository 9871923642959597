"""The fixtures of an emulated Tencent VectorDB."""

from tests.compat.tencent import emulator, place  # noqa: F401 - fixtures
