"""What a policy makes of what was measured."""
