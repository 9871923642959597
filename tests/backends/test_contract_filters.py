"""The contract of filters, over each of our stores."""

from imgsearch.testing.contract.test_filters import *  # noqa: F403
