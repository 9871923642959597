"""Contract tests for vector stores that are not part of this package.

To test a store, register it in a module, for example ``shelf.py``::

    imgsearch.backends.register("shelf", ShelfBackend)

Then run the tests, which need pytest and hypothesis, but no checkout::

    pytest --pyargs imgsearch.testing.contract -p imgsearch.testing.contract.plugin \
        -p shelf --store shelf://contract

Tests of collections that other programs created are skipped, because the suite does not know how to
create them in this store. If the store does not persist rows, deselect
``test_records_outlive_the_connection_on_disk``. To run the tests as part of a project's own tests,
import a test module, such as ``from imgsearch.testing.contract.test_search import *``, and define a
fixture ``bench`` that yields a `bench.Bench`.
"""
