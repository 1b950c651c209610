"""Plain Python on texts and bytes; nothing here imports pyspark."""
