"""From the `tokens` table to a rank's slice of a global batch."""
