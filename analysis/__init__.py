"""After the search: the winner, refitted and evaluated. Reads run folders, never Ray."""
