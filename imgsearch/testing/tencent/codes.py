"""The codes that an answer carries, and the two ways in which a call is not served.

Source: https://cloud.tencent.com/document/product/1709, as gathered in README.md, which says for
each of them whether it is documented or a guess.
"""

from typing import Final

SUCCESS: Final = 0
INDEX_BUILDING: Final = 13101
FLAT_KEEPS: Final = 13200  # FLAT does not delete
FLAT_STANDS: Final = 13201  # FLAT does not update
BAD_PARAMETER: Final = 14100
SYNTAX: Final = 15000
DATABASE_EXISTS: Final = 15201
COLLECTION_EXISTS: Final = 15202
NO_DATABASE: Final = 15301
NO_COLLECTION: Final = 15302


class Refused(Exception):
    """The answer to a call is a code other than 0. Never leaves the emulator as an exception."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


class Broken(Exception):
    """There is no answer to a call: an HTTP status in its place, or for 0 a dropped connection."""

    def __init__(self, status: int) -> None:
        super().__init__(f"HTTP status {status}" if status else "connection dropped")
        self.status = status
