"""From what the runs have measured to means, differences, gaps and sample efficiency, with intervals."""
