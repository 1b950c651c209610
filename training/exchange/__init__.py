"""Models and tokens in other projects' formats."""
