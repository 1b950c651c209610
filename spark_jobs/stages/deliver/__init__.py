"""From kept documents to the corpus, its tokenizer and its tokens."""
