"""Test tools for users: an emulator of Tencent VectorDB, and the contract suite of stores."""
