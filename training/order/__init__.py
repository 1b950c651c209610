"""The order of training data, as a pure function of the plan, in both directions."""
