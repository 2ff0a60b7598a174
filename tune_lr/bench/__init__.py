"""The study behind the claim about GreedyLR: every schedule, tuned with the same budget, on small tasks."""
