"""Sentences: tasks, corpora, tokens, batches."""
