"""A model put to the test, in the loop and afterwards."""
