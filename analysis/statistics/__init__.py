"""How far a score can be trusted, and what is left of it without the luck of a search."""
