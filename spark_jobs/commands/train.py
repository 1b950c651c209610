"""`corpus train`: language models, language identification and classifiers from text files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from schemas.plumbing import exit_codes
from schemas.plumbing.configuration import load_config
from schemas.plumbing.errors import UsageError

if TYPE_CHECKING:
    from spark_jobs.kernels.models.model_card import ModelCard

app = typer.Typer(help="Train models that score documents, and measure them on texts kept back.", no_args_is_help=True)

SHIPPED = "lid.176"

Out = Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for the model and its card.")]
Lake = Annotated[
    str | None,
    typer.Option("--lake", metavar="DIR", help="Enter the model in this lake's table `models`, for the report."),
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a setting of the training; may be repeated."),
]
Separator = Annotated[
    str | None,
    typer.Option(metavar="REGEX", help="Lines that part the documents of plain text; blank lines by default."),
]
FILES = "Text, .jsonl, .parquet (.gz for the first two) or a Delta table; a glob pattern, or repeated."


@app.command()
def perplexity(
    language: Annotated[str, typer.Option(help="Language of the text, as the language model names it.")],
    text: Annotated[list[str], typer.Option(metavar="FILES", help=f"Reference text. {FILES}")],
    out: Out,
    separator: Separator = None,
    lake: Lake = None,
    settings: Settings = None,
) -> int:
    """Train a KenLM 5-gram model; print percentiles of a hold-out to paste into a policy."""
    from spark_jobs.kernels.models.training_texts import find_files
    from spark_jobs.models.perplexity import LanguageModelConfig, policy_lines, train_language_model

    config = load_config(LanguageModelConfig, None, tuple(settings or ()))
    card = train_language_model(find_files(text), separator, out, language, config)
    print("\n".join(policy_lines(card)))
    return _finish({out / f"{language}.bin": card}, lake)


@app.command()
def language_id(
    text: Annotated[
        list[str],
        typer.Option(metavar="TSV", help="Lines `language<TAB>text`, .gz or not; a glob pattern, or repeated."),
    ],
    out: Out,
    compare: Annotated[
        list[str] | None, typer.Option(metavar="MODEL", help="Other fastText models to measure on the same hold-out.")
    ] = None,
    lake: Lake = None,
    settings: Settings = None,
) -> int:
    """Train a language identification model, and measure it and lid.176 language by language on texts kept back."""
    from spark_jobs.kernels.models.fasttext_model import bundled_language_model
    from spark_jobs.kernels.models.training_texts import find_files
    from spark_jobs.models.language_id import LanguageIdConfig, card_lines, evaluate_language_id, train_language_id

    config = load_config(LanguageIdConfig, None, tuple(settings or ()))
    model = out / "language-id.bin"
    card, holdout = train_language_id(find_files(text), model, config)
    cards: dict[Path, ModelCard] = {model: card}
    print("\n".join(card_lines(model.name, card)))
    for other in dict.fromkeys((SHIPPED, *(compare or ()))):
        path = Path(bundled_language_model() if other == SHIPPED else other)
        cards[path] = measured = evaluate_language_id(path, holdout, config)
        print("\n".join(card_lines(path.name, measured)))
    return _finish(cards, lake)


@app.command()
def classifier(
    kind: Annotated[str, typer.Option(help="quality, topic, toxicity or nsfw.")],
    out: Out,
    positive: Annotated[
        list[str] | None, typer.Option(metavar="FILES", help=f"Texts that have the label. {FILES}")
    ] = None,
    negative: Annotated[list[str] | None, typer.Option(metavar="FILES", help="Texts that have it not.")] = None,
    labelled: Annotated[
        list[str] | None, typer.Option(metavar="TSV", help="Or lines `label<TAB>text`, always for topics.")
    ] = None,
    label: Annotated[str, typer.Option(help="The label whose probability counts, among labelled lines.")] = "positive",
    target_share: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Print the threshold that this share of the negative texts reaches."),
    ] = None,
    separator: Separator = None,
    lake: Lake = None,
    settings: Settings = None,
) -> int:
    """Train a fastText classifier; print its figures, its calibration and thresholds by share."""
    from spark_jobs.kernels.models.model_card import source_files
    from spark_jobs.kernels.models.training_texts import find_files, read_labelled
    from spark_jobs.models.classifier import KINDS, ClassifierConfig, card_lines, train_classifier, two_classes

    if kind not in KINDS:
        raise UsageError(f"--kind {kind}: must be one of {', '.join(KINDS)}")
    if (not labelled) == (not (positive and negative)) or (kind == "topic" and not labelled):
        raise UsageError("give --labelled lines, or for all but topics both --positive and --negative files")
    shares = (f"target_shares=[{target_share}]",) if target_share is not None else ()
    config = load_config(ClassifierConfig, None, (*(settings or ()), *shares))
    paths = find_files(labelled or [*(positive or ()), *(negative or ())])
    examples = (
        read_labelled(paths)
        if labelled
        else two_classes(find_files(positive or ()), find_files(negative or ()), separator)
    )
    model = out / f"{kind}.bin"
    card = train_classifier(kind, examples, None if kind == "topic" else label, source_files(paths), model, config)
    print("\n".join(card_lines(card)))
    return _finish({model: card}, lake)


def _finish(models: dict[Path, ModelCard], lake: str | None) -> int:
    if lake is not None:
        from spark_jobs.lake.session import SessionConfig, start_session
        from spark_jobs.models.record_models import record_models

        record_models(start_session(SessionConfig()), lake, models)
    first = next(iter(models))
    print(f"model: {first}\ncard: {first.with_suffix('.json')}")
    return exit_codes.DONE
