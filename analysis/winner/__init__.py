"""From a search's leaderboard to a model on disk: finalists trained anew, one chosen, evaluated, kept, used."""
