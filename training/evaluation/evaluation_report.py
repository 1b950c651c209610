"""The results of an evaluation as files: JSON for programs, Markdown for people."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from schemas.plumbing.whole_file import write_whole

type Cells = Iterable[Any]


def write_report(folder: Path, name: str, results: dict[str, Any]) -> list[Path]:
    """Write `NAME.json` and `NAME.md` into `folder`, over those of an earlier evaluation of the same checkpoint."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = {"json": json.dumps(results, indent=1, ensure_ascii=False) + "\n", "md": markdown(results)}
    paths = []
    for kind, text in texts.items():
        path = folder / f"{name}.{kind}"
        write_whole(path, text)
        paths.append(path)
    return paths


def markdown(results: dict[str, Any]) -> str:
    """Results in the form of `training.evaluation.evaluate.Results`; a section for each kind that there is."""
    parts = [
        f"# Evaluation of step {results['step']:,}\n\nCheckpoint {results['checkpoint']}, trained as "
        f"{results['layout']}.\n"
    ]
    if results["held_out"]:
        rows = [
            (one["source"], one["objective"], one["loss"], one["bits_per_byte"], one["tokens"])
            for one in results["held_out"]
        ]
        parts.append(
            _section(
                "Held-out text",
                "Nats a token, and bits a byte of text.",
                ("source", "objective", "loss", "bits per byte", "tokens"),
                rows,
            )
        )
    if results["tasks"]:
        rows = [(one["task"], one["measure"], one["value"], one["error"], one["items"]) for one in results["tasks"]]
        parts.append(
            _section(
                "Tasks",
                "By lm-evaluation-harness, on the exported model.",
                ("task", "measure", "value", "standard error", "items"),
                rows,
            )
        )
    if results["memorised"]:
        rows = [
            (
                "held out" if one["reads"] is None else one["reads"],
                one["stretches"],
                one["share_32"],
                one["share_50"],
                one["mean_tokens"],
            )
            for one in results["memorised"]
        ]
        text = (
            "Shown the first 50 tokens of a document, the share of documents of which the next 32 and 50 come back "
            "word for word."
        )
        parts.append(
            _section("Memorisation", text, ("times read", "documents", "32 tokens", "50 tokens", "mean tokens"), rows)
        )
    if results["overlaps"]:
        rows = [
            (one["set_name"], one["documents"], one["documents_read"], one["whole_items_read"])
            for one in results["overlaps"]
        ]
        text = (
            "Documents that share n-grams with evaluation sets, from the table `decontamination`, and those that the "
            "run has read."
        )
        parts.append(
            _section(
                "Evaluation sets in the corpus", text, ("set", "documents", "read", "read, with a whole item"), rows
            )
        )
    return "\n".join(parts)


def _section(title: str, text: str, header: tuple[str, ...], rows: list[Cells]) -> str:
    lines = [f"| {' | '.join(header)} |", f"|{' --- |' * len(header)}"]
    lines += [f"| {' | '.join(_cell(value) for value in row)} |" for row in rows]
    return f"## {title}\n\n{text}\n\n" + "\n".join(lines) + "\n"


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4f}"
    return f"{value:,}" if isinstance(value, int) else str(value).replace("|", "\\|")
