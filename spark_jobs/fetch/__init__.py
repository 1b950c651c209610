"""Pages over HTTP into WARC files."""
