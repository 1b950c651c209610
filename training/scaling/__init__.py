"""Scaling laws: fitted to runs, asked for sizes, tried out on a ladder of small models."""
