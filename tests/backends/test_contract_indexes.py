"""The contract of indexes, over each of our stores."""

from imgsearch.testing.contract.test_indexes import *  # noqa: F403
