"""Which configurations are tried, and which trials get the next epochs."""
