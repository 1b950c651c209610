"""From WARC records to documents with a text."""
