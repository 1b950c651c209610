"""The trainer: token tables in, a sharded checkpoint and a Hugging Face folder out; nothing here imports pyspark."""
