"""The Spark side: one file a stage, from WARC records to token tables."""
