"""Milvus stores: a server, or an embedded store in a folder."""
