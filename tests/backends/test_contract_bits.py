"""The contract of vectors of bits, over each of our stores."""

from imgsearch.testing.contract.test_bits import *  # noqa: F403
