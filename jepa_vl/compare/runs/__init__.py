"""Runs: every arm with every seed, tuned, trained, evaluated; each in a process of its own, done once."""
