"""The tables of the lake, one file each."""
