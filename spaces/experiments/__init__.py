"""The papers' experiments: each file is a space whose POINTS are an experiment's arms, all else equal. Run as many
trials as it has POINTS, with --no-early-stopping, and compare their rows of the leaderboard."""
