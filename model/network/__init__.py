"""minBERT, its heads, and how they are put together."""
