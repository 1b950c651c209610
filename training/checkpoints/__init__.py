"""Checkpoints: written in the background, committed when durable, loaded in any layout."""
