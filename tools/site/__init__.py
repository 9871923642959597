"""The documentation site: pages that are made from the code, and links of the repository.

``make docs`` builds it; ``mkdocs.yml`` lists its pages.
"""
