"""Personal information as presidio confirms it, names as a spaCy model finds them."""

from __future__ import annotations

import logging
import random

import pytest

from schemas.plumbing.errors import UsageError
from tests.spark_jobs.kernels.labelled_pii import labelled_texts

pytest.importorskip("presidio_analyzer", reason="presidio is not installed: pip install headwater[pii]")

import spacy
from spacy.training import Example

from spark_jobs.kernels.privacy.pii import Found, PiiDetector, placeholders
from spark_jobs.kernels.privacy.pii_names import LONGEST_PART, NameFinder, model_digest

NAMES = ("Ada Miller", "Ben Stone", "Clara Vale", "David Orchard")
STREETS = ("12 Mill Lane", "7 Harbour Road", "30 Willow Street")
TEMPLATES = (
    "{name} lives at {street} now.",
    "Write to {name}, {street}.",
    "{name} came home.",
    "The house at {street} is old.",
)


@pytest.fixture(scope="module")
def detector() -> PiiDetector:
    return PiiDetector()


@pytest.fixture(scope="module")
def ner_model(tmp_path_factory):
    """A tiny model of names and streets, trained here."""
    draw = random.Random(1)
    language = spacy.blank("en")
    ner = language.add_pipe("ner")
    for label in ("PERSON", "ADDRESS"):
        ner.add_label(label)
    examples = []
    for _ in range(40):
        text, entities = draw.choice(TEMPLATES), []
        for field, values, label in (("{name}", NAMES, "PERSON"), ("{street}", STREETS, "ADDRESS")):
            if field in text:
                value = draw.choice(values)
                start = text.index(field)
                text = text.replace(field, value)
                entities.append((start, start + len(value), label))
        examples.append(Example.from_dict(language.make_doc(text), {"entities": entities}))
    spacy.util.fix_random_seed(1)
    optimizer = language.initialize(lambda: examples)
    for _ in range(12):
        for batch in spacy.util.minibatch(examples, 8):
            language.update(batch, sgd=optimizer, drop=0.1)
    path = tmp_path_factory.mktemp("models") / "names"
    language.to_disk(path)
    return path


def test_f1_of_every_kind_is_above_its_aim(detector):
    tally: dict[str, list[int]] = {}
    for text, spans in labelled_texts(150, seed=5):
        found, expected = {tuple(item) for item in detector.find(text)}, set(spans)
        for number, items in enumerate((found & expected, found - expected, expected - found)):
            for _, _, kind in items:
                tally.setdefault(kind, [0, 0, 0])[number] += 1
    scores = {kind: 2 * right / (2 * right + wrong + missed) for kind, (right, wrong, missed) in tally.items()}
    assert len(scores) == 6 and min(scores.values()) >= 0.95, (scores, tally)


def test_presidio_has_a_say(detector):
    assert detector.find("ada@example.nosuchtld, call 012 013 023 123") == []


def test_only_the_kinds_that_are_asked_for_are_found():
    text = "ada@example.org, (212) 555-0142"
    assert PiiDetector(kinds=("phone",)).find(text) == [Found(17, 31, "phone")]


def test_nothing_that_is_found_is_logged(detector, caplog):
    with caplog.at_level(logging.DEBUG):
        assert len(detector.find("ada@example.org, (212) 555-0142, 52.95.110.1")) == 3
    assert not [
        record
        for record in caplog.records
        if "ada" in record.getMessage() or "555" in record.getMessage() or "52.95" in record.getMessage()
    ]


def test_equal_values_have_equal_placeholders(detector):
    text = "a@b.org c@d.org A@B.ORG (212) 555-0142 212-555-0142"
    found = detector.find(text)
    assert placeholders(text, found, numbered=True) == ["<EMAIL_1>", "<EMAIL_2>", "<EMAIL_1>", "<PHONE_1>", "<PHONE_1>"]
    assert placeholders(text, found, numbered=False) == ["<EMAIL>"] * 3 + ["<PHONE>"] * 2


def test_names_and_addresses_are_those_of_the_model(ner_model):
    finder = NameFinder(ner_model, {"PERSON": "person", "ADDRESS": "address"})
    text = "\n" * LONGEST_PART + "Ben Stone lives at 7 Harbour Road now."
    found = finder.find(text)
    assert [(item.kind, text[item.start : item.end]) for item in found] == [
        ("person", "Ben Stone"),
        ("address", "7 Harbour Road"),
    ]
    assert {item.kind for item in NameFinder(ner_model, {"PERSON": "person"}).find(text)} == {"person"}
    assert len(model_digest(ner_model)) == 64


def test_a_model_that_is_none_or_never_gives_the_labels_is_refused(ner_model, tmp_path):
    with pytest.raises(UsageError, match="no spaCy model"):
        NameFinder(tmp_path / "none", {"PERSON": "person"})
    with pytest.raises(UsageError, match="no folder of a spaCy model"):
        model_digest(tmp_path / "none")
    with pytest.raises(UsageError, match="never gives the labels PER; it gives ADDRESS, PERSON"):
        NameFinder(ner_model, {"PER": "person"})
