"""Tencent VectorDB over HTTP or gRPC."""
