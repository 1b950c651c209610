"""The lake: how a stage runs, where tables are, and who has written what."""
