"""Which documents repeat others, and which of them stays."""
