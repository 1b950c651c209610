"""Archives of crawls as bytes and records: WARC, ARC, and the HTTP messages in them."""
