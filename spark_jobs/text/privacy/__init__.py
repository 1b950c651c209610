"""Personal information in texts."""
