"""What a run trained on: from a step to its pages, from a page to its steps."""
