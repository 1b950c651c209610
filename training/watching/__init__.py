"""What is measured of a run, where it is shown, and whether it still moves."""
