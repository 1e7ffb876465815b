"""Analysis of experiments: effects, tests of the assignment, guardrails, off-policy estimates, plans, reports."""
