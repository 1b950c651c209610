"""PDQ hashes of images (Meta 2019, "The TMK+PDQF Video-Hashing Algorithm and the PDQ Image-Hashing Algorithm"): the
only importer of pdqhash and Pillow."""

from __future__ import annotations

import io
import warnings

import numpy as np
import pdqhash
from numpy.typing import NDArray
from PIL import Image

PDQ_BITS = 256
MAX_PIXELS = 50_000_000
"""Larger images are not decoded: their pixels alone would take 150 MB."""
_SIDE = 512
"""Images are made smaller to this before they are hashed, as the reference implementation does (PDQ README,
"Hashing")."""
_MIN_SIDE = 16
_MAGIC = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"BM", b"II*\0", b"MM\0*")


def is_image(payload: bytes, mime: str | None) -> bool:
    """Whether the payload is an image by its declared type or by its first bytes."""
    return (
        (mime or "").startswith("image/")
        or payload.startswith(_MAGIC)
        or (payload[:4] == b"RIFF" and payload[8:12] == b"WEBP")
    )


def pdq_hash(payload: bytes) -> tuple[bytes, int] | None:
    """The hash in 32 bytes, most significant bit first, and the image's quality for hashing (0 to 100); None for
    what is no image that can be read."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(payload)) as image:
                if image.width * image.height > MAX_PIXELS or min(image.size) < _MIN_SIDE:
                    return None
                # JPEG alone can be decoded at a fraction of its size, which is most of the cost.
                image.draft("RGB", (_SIDE, _SIDE))
                pixels = image.convert("RGB")
                pixels.thumbnail((_SIDE, _SIDE))
    except Exception:
        # Pillow raises whatever its many decoders raise on broken files.
        return None
    bits, quality = pdqhash.compute(np.asarray(pixels))
    return np.packbits(bits.astype(np.uint8)).tobytes(), int(quality)


def nearest_distance(value: bytes, known: NDArray[np.uint64]) -> int:
    """Least number of differing bits between a hash and the rows of `known` (n, 4), n > 0."""
    differing = np.bitwise_xor(known, np.frombuffer(value, dtype=np.uint64))
    return int(np.bitwise_count(differing).sum(axis=1, dtype=np.uint16).min())
