"""Milvus: a server, or embedded in a folder."""
