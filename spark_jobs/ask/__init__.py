"""Questions about a lake and about settings; nothing is written."""
