"""Why the winner won: what mattered, what each change was worth, what it cost, how far it moved the encoder."""
