"""Train a KenLM language model from reference text: modified Kneser-Ney (Heafield et al. 2013), binarised, with
percentiles of a hold-out in its card.

A document's perplexity under it says how far the text is from the reference; CCNet cuts web pages into head, middle
and tail by it (Wenzek et al. 2020, arXiv:1911.00359, section 3.3).
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from schemas.plumbing.configuration import Config
from schemas.plumbing.errors import HeadwaterError, UsageError
from spark_jobs.kernels.file_identity import file_sha256
from spark_jobs.kernels.models.kenlm_model import LanguageModel, LanguageModelCard, Percentile, Preparation
from spark_jobs.kernels.models.model_card import source_files, write_card
from spark_jobs.kernels.models.training_texts import in_holdout, read_documents

PERCENTILES = (1, 2, 5, 10, 20, 25, 30, 40, 50, 60, 70, 75, 80, 90, 95, 98, 99)


class LanguageModelConfig(Config):
    """How to train a language model."""

    order: int = Field(default=5, ge=2, le=6)
    """Words in the longest sequence; CCNet takes 5."""
    prune: tuple[int, ...] = ()
    """Sequences that occur no more often than this are left out: a count for each length, the first 0; empty keeps
    all."""
    memory: str = Field(default="1G", pattern=r"^[0-9]+[KMG%]$")
    """Memory for sorting; what does not fit goes to disk, in the output folder."""
    structure: Literal["probing", "trie"] = "probing"
    """`probing` is the fastest, `trie` takes about half the memory."""
    normalisation: Literal["ccnet", "none"] = "ccnet"
    """How text is changed before it is split."""
    tokenizer: Path | None = None
    """A SentencePiece model, as in CCNet; nothing means words and marks."""
    holdout: float = Field(default=0.1, gt=0, lt=1)
    """Share of the documents kept back to measure percentiles on."""
    seed: int = Field(default=1, ge=0)
    """Chooses the hold-out."""


def train_language_model(
    paths: tuple[Path, ...], separator: str | None, out: Path, language: str, config: LanguageModelConfig
) -> LanguageModelCard:
    """Write `LANGUAGE.bin` and its card `LANGUAGE.json` to the folder `out`.

    Raises `UsageError` where the tools or texts are missing and `HeadwaterError` where training fails.
    """
    lmplz, build_binary = find_tool("lmplz"), find_tool("build_binary")
    out.mkdir(parents=True, exist_ok=True)
    model = out / f"{language}.bin"
    described: dict[str, Any] = {
        "kind": "perplexity",
        "language": language,
        "normalisation": config.normalisation,
        "sources": source_files(paths),
    }
    if config.tokenizer is not None:
        described |= {"tokenizer": config.tokenizer.name, "tokenizer_sha256": file_sha256(config.tokenizer)}
        if config.tokenizer.absolute().parent != out.absolute():
            shutil.copyfile(config.tokenizer, out / config.tokenizer.name)
    settings = config.model_dump(mode="json", include={"order", "structure", "holdout", "seed"}) | {
        "prune": " ".join(map(str, config.prune))
    }
    card = LanguageModelCard(parameters=settings, **described)
    counts = {True: 0, False: 0}

    def documents(*, held_out: bool) -> Iterator[str]:
        for text in read_documents(paths, separator):
            side = in_holdout(text, config.holdout, config.seed)
            # The files are read twice, so that the hold-out need not fit in memory: counted when they are read to
            # train.
            counts[side] += not held_out
            if side == held_out:
                yield text

    prepare = Preparation(card, out)
    with tempfile.TemporaryDirectory(dir=out, prefix=".train-") as folder:
        arpa, binary = Path(folder) / "model.arpa", Path(folder) / "model.bin"
        # Small texts lack the counts that discounts are estimated from; the fallback changes nothing where they
        # suffice.
        command = [
            lmplz,
            "-o",
            str(config.order),
            "-S",
            config.memory,
            "-T",
            f"{folder}/sort",
            "--skip_symbols",
            "--discount_fallback",
            "--arpa",
            str(arpa),
        ]
        _run(
            [*command, *(["--prune", *map(str, config.prune)] if config.prune else [])],
            lines_of(documents(held_out=False), prepare),
        )
        if not counts[True]:
            raise UsageError(
                f"none of {counts[False]} documents fell into the hold-out: give more documents, part them with "
                f"--separator, or set holdout"
            )
        _run([build_binary, "-T", f"{folder}/build", "-S", config.memory, config.structure, str(arpa), str(binary)])
        binary.replace(model)
    card = card.model_copy(
        update={"sha256": file_sha256(model), "training_documents": counts[False], "holdout_documents": counts[True]}
    )
    write_card(model, card)
    scored = LanguageModel(model)
    perplexities = [value for text in documents(held_out=True) if (value := scored.perplexity(text)) is not None]
    card = card.model_copy(update={"percentiles": percentiles(perplexities)})
    write_card(model, card)
    return card


def lines_of(documents: Iterable[str], prepare: Preparation) -> Iterator[str]:
    """Lines to train on; raises `UsageError` where there are none."""
    none = True
    for text in documents:
        for line in prepare.lines(text):
            none = False
            yield line + "\n"
    if none:
        raise UsageError("there is no text to train on")


def percentiles(perplexities: list[float]) -> tuple[Percentile, ...]:
    if not perplexities:
        raise UsageError("no text that was kept back has a word in it")
    values = np.percentile(perplexities, PERCENTILES)
    return tuple(
        Percentile(percentile=percent, perplexity=round(float(value), 1))
        for percent, value in zip(PERCENTILES, values, strict=True)
    )


def policy_lines(card: LanguageModelCard) -> list[str]:
    """The percentiles, and limits to paste into a policy: CCNet's buckets, and a rule that cuts both tails."""
    at = {point.percentile: point.perplexity for point in card.percentiles}
    return [
        f"perplexity of {card.holdout_documents:,} documents kept back: "
        + "  ".join(f"p{percent} {value:g}" for percent, value in at.items()),
        "for a policy:",
        f"  rules: [{{signal: perplexity.value, min: {at[1]:g}, max: {at[99]:g}}}]",
        f"  buckets: {{signal: perplexity.value, limits: {{{card.language}: [{at[30]:g}, {at[60]:g}]}}}}",
    ]


def find_tool(name: str) -> str:
    """Path of one of KenLM's programs, beside this Python or on PATH."""
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.is_file() else shutil.which(name)
    if found is None:
        raise UsageError(
            f"{name} is not installed: it is built by `bash .ci/build_lmplz.sh` (needs cmake, a C++ compiler and Boost)"
        )
    return found


def _run(command: list[str], lines: Iterable[str] = ()) -> None:
    with tempfile.TemporaryFile() as complaints:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=complaints)
        assert process.stdin is not None
        try:
            for line in lines:
                process.stdin.write(line.encode())
            process.stdin.close()
        except BrokenPipeError:
            pass  # It gave up; its status and its words say why.
        except BaseException:
            process.kill()
            process.wait()
            raise
        if process.wait() != 0:
            complaints.seek(0)
            words = complaints.read().decode(errors="replace").split("\n")
            raise HeadwaterError(
                f"{Path(command[0]).name} failed: "
                f"{next((line for line in reversed(words) if line.strip()), 'without a word')}"
            )
