"""The controlled comparison: arms that differ in named keys only, seeds, budgets, statistics and a report."""
