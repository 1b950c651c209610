"""What a text shares with evaluation sets."""
