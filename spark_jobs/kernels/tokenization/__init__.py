"""Tokenizers, trained and run, and what they make of a language."""
