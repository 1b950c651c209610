"""The report of an evaluation for people, as literals."""

from __future__ import annotations

import json
from pathlib import Path

from training.evaluation.evaluation_report import write_report

RESULTS = {
    "checkpoint": "runs/a/checkpoints/step-00001200",
    "step": 1200,
    "layout": "tensor 2 x pipeline 1 x data 1",
    "held_out": [
        {"step": 1200, "source": "books", "objective": "causal", "loss": 2.5, "bits_per_byte": 1.25, "tokens": 4096},
        {
            "step": 1200,
            "source": "books",
            "objective": "fill_in_the_middle",
            "loss": 2.75,
            "bits_per_byte": None,
            "tokens": 4000,
        },
    ],
    "tasks": [{"task": "rivers", "measure": "acc", "value": 0.5, "error": None, "items": 4}],
    "memorised": [
        {"reads": None, "stretches": 10, "share_32": 0.0, "share_50": 0.0, "mean_tokens": 1.5},
        {"reads": 2, "stretches": 7, "share_32": 0.25, "share_50": 0.125, "mean_tokens": 12.0},
    ],
    "overlaps": [{"set_name": "a|b", "documents": 3, "documents_read": 2, "whole_items_read": 1}],
}
MARKDOWN = """# Evaluation of step 1,200

Checkpoint runs/a/checkpoints/step-00001200, trained as tensor 2 x pipeline 1 x data 1.

## Held-out text

Nats a token, and bits a byte of text.

| source | objective | loss | bits per byte | tokens |
| --- | --- | --- | --- | --- |
| books | causal | 2.5000 | 1.2500 | 4,096 |
| books | fill_in_the_middle | 2.7500 |  | 4,000 |

## Tasks

By lm-evaluation-harness, on the exported model.

| task | measure | value | standard error | items |
| --- | --- | --- | --- | --- |
| rivers | acc | 0.5000 |  | 4 |

## Memorisation

Shown the first 50 tokens of a document, the share of documents of which the next 32 and 50 come back word for word.

| times read | documents | 32 tokens | 50 tokens | mean tokens |
| --- | --- | --- | --- | --- |
| held out | 10 | 0.0000 | 0.0000 | 1.5000 |
| 2 | 7 | 0.2500 | 0.1250 | 12.0000 |

## Evaluation sets in the corpus

Documents that share n-grams with evaluation sets, from the table `decontamination`, and those that the run has read.

| set | documents | read | read, with a whole item |
| --- | --- | --- | --- |
| a\\|b | 3 | 2 | 1 |
"""


def test_it_has_a_section_for_each_kind_of_result(tmp_path: Path) -> None:
    files = write_report(tmp_path / "evaluation", "step-00001200", RESULTS)
    assert [path.name for path in files] == ["step-00001200.json", "step-00001200.md"]
    assert json.loads(files[0].read_text()) == RESULTS
    assert files[1].read_text() == MARKDOWN


def test_what_was_not_asked_for_has_no_section(tmp_path: Path) -> None:
    empty = {**RESULTS, "held_out": [], "tasks": [], "memorised": [], "overlaps": []}
    assert write_report(tmp_path, "a", empty)[1].read_text().count("#") == 1
