"""What signals and line rules measure: words, lines, characters, repetition."""
