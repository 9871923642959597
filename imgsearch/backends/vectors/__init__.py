"""Job folders: vectors in parquet files, read like a store."""
