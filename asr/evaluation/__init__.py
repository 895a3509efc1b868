"""How good a model is: hypotheses, error rates with intervals, their listing and the report."""
