"""Speed, measured side by side: one command each, results in README.md."""
