"""What is measured of each document, once, for all policies."""
