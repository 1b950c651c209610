"""From the bytes of a page to its main content, and what a page says of itself."""
