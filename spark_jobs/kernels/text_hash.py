"""What tells whether two texts are the same."""

import xxhash


def text_hash(text: str) -> str:
    """128 bits, in hex: XXH3 of the text in UTF-8."""
    return xxhash.xxh3_128_hexdigest(text.encode())
