"""The contract of a vector store, as a test suite for stores outside this package.

The store's author registers it in a module, say ``shelf.py``::

    imgsearch.backends.register("shelf", ShelfBackend)

and runs the suite, which needs pytest and hypothesis, without a checkout::

    pytest --pyargs imgsearch.testing.contract -p imgsearch.testing.contract.plugin \
        -p shelf --store shelf://contract

Tests of collections that another program created are skipped, because only the author knows how
another program creates one. A store that loses its rows when the process ends deselects
``test_records_outlive_the_connection_on_disk``. To run the suite from a project's own tests,
import a module of it, ``from imgsearch.testing.contract.test_search import *``, and define a
fixture ``bench`` that yields a `bench.Bench`.
"""
