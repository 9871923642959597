"""The contract of a vector store, over each of ours."""

from imgsearch.testing.contract.test_collections import *  # noqa: F403
from imgsearch.testing.contract.test_foreign import *  # noqa: F403
from imgsearch.testing.contract.test_records import *  # noqa: F403
from imgsearch.testing.contract.test_search import *  # noqa: F403
