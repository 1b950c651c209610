"""How good the models are that `corpus train` makes of the texts in ../shared/data, and what they cost: `python
bench/models.py`.

Language identification by language beside lid.176, a language model on speeches against the same speeches with their
words shuffled, a classifier of reference text against web pages; then milliseconds a page of each on real pages.
Figures go to bench/results/models.json.
"""

from __future__ import annotations

import gzip
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from spark_jobs.kernels.measures.sentences import split_sentences
from spark_jobs.kernels.models.classifier import Classifier, ClassifierModel
from spark_jobs.kernels.models.fasttext_model import bundled_language_model
from spark_jobs.kernels.models.kenlm_model import LanguageModel
from spark_jobs.kernels.models.training_texts import in_holdout, read_documents
from spark_jobs.models.classifier import ClassifierConfig, train_classifier
from spark_jobs.models.language_id import LanguageIdConfig, evaluate_language_id, train_language_id
from spark_jobs.models.perplexity import LanguageModelConfig, train_language_model

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
RESULTS = Path(__file__).parent / "results" / "models.json"
SPEECH = "^### "


def language_identification(folder: Path) -> dict[str, object]:
    config = LanguageIdConfig()
    start = time.perf_counter()
    trained, holdout = train_language_id(
        (DATA / "text" / "tatoeba.tsv.gz", DATA / "text" / "udhr.tsv.gz"), folder / "language-id.bin", config
    )
    seconds = time.perf_counter() - start
    shipped = evaluate_language_id(Path(bundled_language_model()), holdout, config)
    both = {
        name
        for name in {figure.label for figure in trained.languages if figure.texts}
        if any(f.label == name and f.right for f in shipped.languages)
    }

    def figures(card) -> dict[str, float]:  # type: ignore[no-untyped-def]
        shared = [figure.recall for figure in card.languages if figure.label in both]
        return {
            "languages": sum(figure.texts > 0 for figure in card.languages),
            "known": card.known_languages,
            "accuracy": round(card.accuracy, 4),
            "macro": round(card.macro_accuracy, 4),
            "accuracy_of_known": round(card.accuracy_of_known, 4),
            "macro_of_known": round(card.macro_accuracy_of_known, 4),
            "macro_of_languages_that_lid_176_finds": round(sum(shared) / len(shared), 4),
        }

    return {
        "holdout": len(holdout),
        "training_seconds": round(seconds),
        "trained": figures(trained),
        "lid.176": figures(shipped),
    }


def perplexity(folder: Path) -> dict[str, object]:
    """Head bucket of speeches that the model has not seen, mixed with as many whose words are shuffled line by line."""
    speeches = DATA / "text" / "us-presidential-speeches.txt.gz"
    config = LanguageModelConfig(holdout=0.2)
    card = train_language_model((speeches,), SPEECH, folder, "en", config)
    model = LanguageModel(folder / "en.bin")
    unseen = [text for text in read_documents((speeches,), SPEECH) if in_holdout(text, config.holdout, config.seed)]
    shuffle = random.Random(0)
    mixed = [(model.perplexity(text), True) for text in unseen] + [
        (model.perplexity(shuffled(text, shuffle)), False) for text in unseen
    ]
    mixed.sort()
    head = mixed[: int(0.3 * len(mixed))]
    at = {point.percentile: point.perplexity for point in card.percentiles}
    below = [is_speech for value, is_speech in mixed if value <= at[90]]
    return {
        "speeches": len(unseen),
        "speeches_in_head_by_rank": round(sum(is_speech for _, is_speech in head) / len(head), 4),
        "speeches_below_p90_of_holdout": round(sum(below) / len(below), 4),
        "percentiles": at,
        "lowest_of_shuffled": round(min(value for value, is_speech in mixed if not is_speech)),
    }


def shuffled(text: str, chooser: random.Random) -> str:
    lines = []
    for line in text.split("\n"):
        words = line.split()
        chooser.shuffle(words)
        lines.append(" ".join(words))
    return "\n".join(lines)


def quality(folder: Path) -> dict[str, object]:
    """Paragraphs of speeches and of Wikipedia against paragraphs of web pages of the same sizes, so that neither
    length nor layout tells them apart."""
    reference = [
        *paragraphs(read_documents((DATA / "text" / "us-presidential-speeches.txt.gz",), SPEECH)),
        *wikipedia(),
    ]
    web = list(paragraphs(web_pages()))
    examples = [("positive", text) for text in reference] + [("negative", text) for text in web]
    card = train_classifier("quality", examples, "positive", (), folder / "quality.bin", ClassifierConfig())
    return {
        "reference": len(reference),
        "web": len(web),
        "accuracy": round(card.accuracy, 4),
        "auc": round(card.auc or 0.0, 4),
        "calibration_error": round(card.calibration_error or 0.0, 4),
        "thresholds": {f"{item.share:g}": round(item.threshold, 6) for item in card.thresholds},
    }


def paragraphs(texts) -> list[str]:  # type: ignore[no-untyped-def]
    return [part for text in texts for part in text.split("\n") if 200 <= len(part) <= 2000]


def wikipedia() -> list[str]:
    lines = (DATA / "text" / "wikitext2-valid.txt").read_text(encoding="utf-8").split("\n")
    # The tokenised form would give it away: marks are set off by spaces there.
    joined = (
        line.strip().replace(" ,", ",").replace(" .", ".").replace(" @-@ ", "-").replace("<unk>", "it")
        for line in lines
    )
    return [line for line in joined if 200 <= len(line) <= 2000]


def web_pages() -> list[str]:
    with gzip.open(DATA / "gold" / "web-pages.jsonl.gz", "rt", encoding="utf-8") as file:
        return [json.loads(line).get("main_content") or "" for line in file]


def cost(folder: Path) -> dict[str, float]:
    """Milliseconds a page on one core."""
    pages = [text for text in web_pages() if text][:500]
    model, classifier = (
        LanguageModel(folder / "en.bin"),
        Classifier(ClassifierModel(path=folder / "quality.bin"), kind="quality"),
    )
    works: dict[str, Callable[[str], object]] = {
        "perplexity": model.perplexity,
        "quality": classifier.probability,
        "sentences": split_sentences,
        "sentence_scores": lambda text: classifier.sentence_scores(split_sentences(text)),
    }
    return {name: milliseconds(work, pages) for name, work in works.items()} | {
        "characters": round(sum(map(len, pages)) / len(pages))
    }


def milliseconds(work: Callable[[str], object], texts: list[str]) -> float:
    passes = []
    for _ in range(3):
        start = time.perf_counter()
        for text in texts:
            work(text)
        passes.append(time.perf_counter() - start)
    return round(1000 * min(passes) / len(texts), 3)


def main() -> None:
    if not DATA.is_dir():
        sys.exit(f"{DATA}: no such folder of texts")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found = {
            "language_identification": language_identification(folder),
            "perplexity": perplexity(folder),
            "quality": quality(folder),
            "milliseconds_a_page": cost(folder),
        }
    print(json.dumps(found, indent=2))
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
