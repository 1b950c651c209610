"""What a user types: each command parses, calls and prints."""
