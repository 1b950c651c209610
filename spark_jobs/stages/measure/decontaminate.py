"""Find items of evaluation sets in the extracted documents, by n-grams that both have. Nothing is removed here: a
policy decides, see `Policy.decontamination`.

The n-grams of the sets go to every worker as one sorted array of hashes, and each document is looked up there where
its text lies: no text, and no n-gram of a document, is shuffled. Before anything is read, canaries show for each set
that its own raw text would be found. Off unless sets are given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import structlog
from pydantic import Field, field_validator, model_validator
from pyspark.sql import DataFrame, Observation
from pyspark.sql import functions as F

from schemas.plumbing import configuration
from schemas.plumbing.errors import UsageError
from schemas.tables.decontamination import DECONTAMINATION
from schemas.tables.documents import DOCUMENTS
from spark_jobs.kernels.duplicates.shingles import comparable_words
from spark_jobs.kernels.evaluation.evaluation_sets import Item, read_items, set_digest
from spark_jobs.kernels.evaluation.ngram_overlap import NgramIndex, SetSize, build_index, overlaps
from spark_jobs.lake.batches import batch_of_rows, map_batches
from spark_jobs.lake.stage import Stage

log = structlog.get_logger()

type DocumentPath = Callable[[pa.RecordBatch, NgramIndex], pa.RecordBatch]

CANARIES = 100
"""Items of a set that are tried on the way of a document before the run."""


class EvaluationSet(configuration.Config):
    """Where an evaluation set is, and what of it counts. May be written as the path alone."""

    path: Path
    """A file of JSON lines (`.jsonl`, also with `.gz`), or the folder of a Delta table."""
    fields: tuple[str, ...] = Field(default=("text",), min_length=1)
    """Fields whose text makes the item, such as `[question, choices]`; all strings within are taken."""
    id_field: str = "id"
    """Field that names the item; where a row has none, its line does."""

    @model_validator(mode="before")
    @classmethod
    def from_path(cls, values: Any) -> Any:
        return {"path": values} if isinstance(values, str | Path) else values


class Config(configuration.Config):
    """Which evaluation sets are looked for, and how much has to agree."""

    sets: dict[str, EvaluationSet] = Field(default={})
    """Evaluation sets by the names that decisions and reports use; none unless given."""
    ngram: int = Field(default=13, ge=2, le=64)
    """Words that have to follow each other in both; 13 as for GPT-3 (Brown et al. 2020, arXiv:2005.14165, appendix
    C)."""
    short_items: Literal["report", "whole"] = "report"
    """Items with fewer words are only counted (`report`), or found where a document has them from beginning to end
    (`whole`)."""
    short_words: int = Field(default=8, ge=2)
    """The fewest words of an item that is found as a whole; 8 is the shortest that GPT-3's authors look for."""

    @field_validator("sets")
    @classmethod
    def have_plain_names(cls, sets: dict[str, EvaluationSet]) -> dict[str, EvaluationSet]:
        odd = [name for name in sets if not name.replace("_", "").replace("-", "").isalnum()]
        if odd:
            raise ValueError(f"names of sets have letters, digits, _ and - only, not {', '.join(odd)}")
        return sets


def transform(documents: DataFrame, *, config: Config, observation: Observation | None = None) -> DataFrame:
    """Overlaps of all documents; `observation` counts items, n-grams and documents by set. Raises `UsageError` for a
    set that could match nothing."""
    items = {name: list(read_items(each.path, each.fields, each.id_field)) for name, each in config.sets.items()}
    index, sizes = build_index(items, config.ngram, config.short_words if config.short_items == "whole" else None)
    for name, found in items.items():
        require_canaries(name, found, index, sizes[name])
        log.info("evaluation set", set=name, **sizes[name]._asdict())
    shared = documents.sparkSession.sparkContext.broadcast(index)

    texts = documents.where(F.col("extract_status") == "extracted").select("doc_id", "crawl", "text")
    found = map_batches(texts, lambda batch: find_in_batch(batch, shared.value), DECONTAMINATION)
    return found if observation is None else found.observe(observation, *_report(sizes))


def find_in_batch(batch: pa.RecordBatch, index: NgramIndex) -> pa.RecordBatch:
    """Rows of `decontamination` for a batch with columns doc_id, crawl and text."""
    rule = f"{index.ngram}-grams of comparable words, version 1"
    rows = [
        (doc_id, crawl, *overlap, rule)
        for doc_id, crawl, text in zip(
            *(batch.column(name).to_pylist() for name in ("doc_id", "crawl", "text")), strict=True
        )
        for overlap in overlaps(index, text)
    ]
    return batch_of_rows(rows, DECONTAMINATION)


def require_canaries(
    name: str, items: Sequence[Item], index: NgramIndex, size: SetSize, document_path: DocumentPath = find_in_batch
) -> None:
    """Send raw texts of the set's own items the way of a document: each that is long enough has to be found wholly,
    or the set would pass for clean.

    Raises `UsageError` otherwise.
    """
    if not size.ngrams:
        raise UsageError(
            f"the set {name} matches nothing because of normalisation: none of its {size.items} items has "
            f"{index.ngram} words left; "
            "name other fields, a smaller ngram, or short_items: whole"
        )
    lengths = [len(comparable_words(item.text)) for item in items]
    tried = [
        item
        for item, length in zip(items, lengths, strict=True)
        if length >= index.ngram or length in index.short_lengths
    ]
    tried = tried[:: max(1, len(tried) // CANARIES)][:CANARIES]
    texts = [f"What stands before it.\n{item.text}\nWhat stands after it." for item in tried]
    batch = pa.RecordBatch.from_pydict(
        {"doc_id": [str(i) for i in range(len(tried))], "crawl": ["canary"] * len(tried), "text": texts}
    )
    rows = document_path(batch, index).to_pylist()
    found = {row["doc_id"] for row in rows if row["set_name"] == name and row["item_share"] == 1.0}
    lost = [item.item_id for i, item in enumerate(tried) if str(i) not in found]
    if lost:
        raise UsageError(
            f"the set {name} matches nothing because of normalisation: a document with the raw text of its item "
            f"{lost[0]} does not match it"
        )


def _report(sizes: Mapping[str, SetSize]) -> list[Any]:
    """Aggregates for the ledger: what is known of each set, and the documents that overlap it."""
    counts = []
    for name, size in sizes.items():
        known = {
            "items": size.items,
            "short_items": size.short_items,
            "ignored_items": size.ignored_items,
            "ngrams": size.ngrams,
        }
        counts += [F.coalesce(F.max(F.lit(value)), F.lit(value)).alias(f"{name}.{key}") for key, value in known.items()]
        counts.append(F.count_if(F.col("set_name") == name).alias(f"{name}.documents"))
    return counts


STAGE = Stage(
    name="decontaminate",
    reads=(DOCUMENTS,),
    writes=DECONTAMINATION,
    config=Config,
    transform=transform,
    observes_reading=True,
    models=lambda config: {f"{name}: {each.path}": set_digest(each.path) for name, each in config.sets.items()},
    enabled=lambda config: bool(config.sets),
)
