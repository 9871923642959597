"""The tests of imgsearch."""

import os

# One of several processes, in which the threads of NumPy and torch would spin. Both read the
# variable when they are imported.
if "PYTEST_XDIST_WORKER" in os.environ:  # noqa: TID251  # tests have no settings
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # noqa: TID251
