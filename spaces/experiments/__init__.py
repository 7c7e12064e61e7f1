"""The papers' experiments: each file is a space whose POINTS are an experiment's arms, all else equal. Run as many
trials as it has POINTS, with --no-early-stopping; python -m analysis.papers shows them beside the papers' figures."""
