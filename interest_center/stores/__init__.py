"""Where states live: RocksDB, memory, and snapshots of them."""
