"""Test tools for users: a Tencent VectorDB emulator, and contract tests for vector stores."""
