"""Train a language identification model (Joulin et al. 2017, arXiv:1607.01759) from labelled lines, and measure it
beside others on what was kept back.

Labels in codes of ISO 639 become short names, so that a policy's `language: de` means the same under this model and
under lid.176.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

import xxhash
from pydantic import Field

from schemas.plumbing.configuration import Config
from schemas.plumbing.errors import UsageError
from spark_jobs.kernels.file_identity import file_sha256
from spark_jobs.kernels.models.fasttext_model import FastTextConfig, FastTextModel, train
from spark_jobs.kernels.models.language_codes import short_name, short_names_of_model
from spark_jobs.kernels.models.language_id_card import LanguageIdCard, measure_language_id
from spark_jobs.kernels.models.model_card import source_files, write_card
from spark_jobs.kernels.models.training_texts import Labelled, in_holdout, read_labelled
from spark_jobs.kernels.text_hash import text_hash


class LanguageIdConfig(Config):
    """How to train a model of languages."""

    short_names: bool = True
    """Whether labels are read as codes of ISO 639 and become short names (`deu_1901` is `de`); else they stay as
    they are."""
    fewest: int = Field(default=300, ge=1)
    """Texts of a language with fewer are repeated up to this number, so that rare languages are learnt too."""
    holdout: float = Field(default=0.1, gt=0, lt=1)
    """Share of the texts kept back."""
    seed: int = Field(default=1, ge=0)
    """Chooses the hold-out and the order of the texts."""
    fasttext: FastTextConfig = FastTextConfig(lr=0.8, word_ngrams=1, minn=1, maxn=4, min_count=1)
    """Settings of fastText."""


def train_language_id(
    paths: tuple[Path, ...], model: Path, config: LanguageIdConfig
) -> tuple[LanguageIdCard, list[Labelled]]:
    """Train on the files and write `model` with its card; returns the card and the hold-out.

    Raises `UsageError` where there are fewer than two languages or nothing is kept back, and `HeadwaterError` where
    training diverges.
    """
    kept, holdout = split(paths, config)
    if len(kept) < 2 or not holdout:
        raise UsageError(
            f"training needs texts of two languages or more and a hold-out; there are {len(kept)} languages and "
            f"{len(holdout)} texts kept back"
        )
    examples = training_order(kept, config)
    train(examples, model, config.fasttext)
    parameters = {"fewest": config.fewest, "holdout": config.holdout, "seed": config.seed} | config.fasttext.model_dump(
        exclude={"seed"}
    )
    loaded = FastTextModel(str(model))
    measured = measure_language_id(loaded, {label: label for label in loaded.labels}, holdout)
    card = LanguageIdCard(
        kind="language-id",
        sha256=file_sha256(model),
        sources=source_files(paths),
        training_documents=sum(map(len, kept.values())),
        parameters=parameters,
        **measured,
    )
    write_card(model, card)
    return card, holdout


def evaluate_language_id(model: Path, holdout: list[Labelled], config: LanguageIdConfig) -> LanguageIdCard:
    """Another model measured on the same hold-out; nothing is written."""
    loaded = FastTextModel(str(model))
    names: Mapping[str, str] = (
        short_names_of_model(loaded.labels) if config.short_names else {label: label for label in loaded.labels}
    )
    return LanguageIdCard(kind="language-id", sha256=file_sha256(model), **measure_language_id(loaded, names, holdout))


def split(paths: tuple[Path, ...], config: LanguageIdConfig) -> tuple[dict[str, list[str]], list[Labelled]]:
    """Distinct texts to train on, by language, and the hold-out. A text that occurs under several languages counts
    for the first."""
    seen: set[str] = set()
    kept: dict[str, list[str]] = defaultdict(list)
    holdout: list[Labelled] = []
    for label, text in read_labelled(paths):
        key = text_hash(text)
        if key in seen:
            continue
        seen.add(key)
        language = short_name(label) if config.short_names else label
        if in_holdout(text, config.holdout, config.seed):
            holdout.append((language, text))
        else:
            kept[language].append(text)
    return dict(kept), holdout


def training_order(kept: Mapping[str, list[str]], config: LanguageIdConfig) -> Iterator[Labelled]:
    """Texts of all languages mixed by hash, those of rare languages repeated."""
    entries = []
    for language, texts in kept.items():
        copies = max(1, math.ceil(config.fewest / len(texts)))
        wanted = max(len(texts), config.fewest)
        repeated = [(copy, text) for copy in range(copies) for text in texts][:wanted]
        entries += [
            (xxhash.xxh3_64_intdigest(text.encode(), seed=config.seed + copy), language, text)
            for copy, text in repeated
        ]
    return ((language, text) for _, language, text in sorted(entries))


def card_lines(name: str, card: LanguageIdCard, rows: int = 15) -> list[str]:
    """A short table: the whole one is in the card and in the report."""
    texts = [figure for figure in card.languages if figure.texts]
    hardest = sorted(texts, key=lambda figure: (figure.recall, figure.label))[:rows]
    return [
        f"{name}: {card.holdout_documents:,} texts in {len(texts)} languages, {card.known_languages} of them known to "
        f"the model",
        f"  accuracy {card.accuracy:.4f}, mean of the languages {card.macro_accuracy:.4f}",
        f"  of the known languages: accuracy {card.accuracy_of_known:.4f}, mean of the languages "
        f"{card.macro_accuracy_of_known:.4f}",
        "  hardest: " + ", ".join(f"{figure.label} {figure.recall:.2f}" for figure in hardest),
        "  taken for another: "
        + ", ".join(f"{pair.label} for {pair.taken_for} {pair.texts}" for pair in card.confusions[:rows]),
    ]
