"""Models that score texts, and the cards that say how good they are."""
