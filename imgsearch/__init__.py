"""Image search with composable Towhee pipelines over Milvus or Tencent VectorDB."""

__version__ = "0.1.0"
