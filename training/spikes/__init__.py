"""Spikes of the loss: what is one, what is done about it, and which documents were in it."""
