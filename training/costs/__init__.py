"""Operations, memory and hours of a run, before it starts."""
