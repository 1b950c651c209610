"""What tells whether two texts are the same."""

import hashlib


def text_hash(text: str) -> str:
    """SHA-256 of the text in UTF-8, in 64 hex digits.

    Pages are written by strangers, and one whose hash equals another's makes that one a duplicate. No two texts of one
    SHA-256 are known; for hashes that are made for speed, such as XXH3, they can be computed.
    """
    return hashlib.sha256(text.encode()).hexdigest()
