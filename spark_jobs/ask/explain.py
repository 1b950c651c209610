"""One document's whole life, as lines of text: where it was read, what it scored, which rules stand against it, and
where its tokens are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from pyspark.sql import Column, DataFrame, Row, SparkSession
from pyspark.sql import functions as F

from schemas.contract import Table
from schemas.plumbing.errors import UsageError
from schemas.tables.corpus import CORPUS
from schemas.tables.decisions import DECISIONS
from schemas.tables.decontamination import DECONTAMINATION
from schemas.tables.documents import DOCUMENTS
from schemas.tables.duplicates import CLUSTERS, DUPLICATES
from schemas.tables.emptied import EMPTIED, LEFT_EMPTY
from schemas.tables.incidents import SUSPECTS
from schemas.tables.quarantine import QUARANTINE
from schemas.tables.reasons import reason_in_words
from schemas.tables.spans import SPANS
from schemas.tables.tokens import TOKENS
from schemas.tables.withdrawn import WITHDRAWN
from spark_jobs.ask.terminal import Lines, aligned, printable
from spark_jobs.kernels.gates.urls import host_of
from spark_jobs.lake.tables import TABLES, Tables, open_tables
from spark_jobs.report.ledger import selecting_policy
from spark_jobs.report.words import allowed, column_value, meaning, number
from spark_jobs.signals import SIGNALS, SIGNALS_TABLE, Signal
from spark_jobs.stages.decide.column_rules import ColumnRule
from spark_jobs.stages.decide.policy import Policy
from spark_jobs.stages.decide.rules import breaks_column_rule

CAPTURES_SHOWN = 5
NEAR_MATCHES = 5
EXCERPT = 200
"""Characters of the text that are shown."""


def explain_document(spark: SparkSession, lake: str, document: str) -> str:
    """The life of the document with that doc_id, or of the captures of that URL, the earliest first.

    Raises `UsageError` with the nearest URLs or ids where there is none.
    """
    tables = open_tables(spark, lake, None)
    is_wanted = (F.col("doc_id") == document) | (F.col("url") == document)
    columns = [name for name in tables.of(DOCUMENTS).columns if name != "text"]
    found = (
        tables.of(DOCUMENTS)
        .where(is_wanted)
        .select(*columns, F.substring("text", 1, EXCERPT).alias("excerpt"), F.length("text").alias("characters"))
    )
    captures = found.orderBy("fetched_at", "doc_id").limit(CAPTURES_SHOWN + 1).collect()
    if not captures:
        raise UsageError(_no_such_document(tables, lake, document))
    selecting = selecting_policy(tables)
    lives = [aligned(_life(Document(row, tables, selecting.policy))) for row in captures[:CAPTURES_SHOWN]]
    if selecting.lost:
        lives.append(f"The policy in the ledger is read without {', '.join(selecting.lost)}.")
    if len(captures) > CAPTURES_SHOWN:
        lives.append(f"The URL has more captures than these {CAPTURES_SHOWN}; ask for one by its doc_id.")
    return "\n\n".join(lives)


@dataclass(frozen=True)
class Document:
    """A document as it is asked about: its row of `documents`, and where everything else about it is."""

    row: Row
    tables: Tables
    policy: Policy

    def rows(self, table: Table) -> DataFrame:
        return self.tables.of(table).where(F.col("doc_id") == self.row["doc_id"])


def _life(document: Document) -> Lines:
    """What each table has of the document, table by table in the order of a page's life."""
    for table in TABLES:
        if table.explained and "doc_id" in table.column_names:
            yield from tell(document, table)


def tell(document: Document, table: Table) -> Lines:
    """What a table has of the document; its rows as they are where nothing here knows the table better."""
    if table.name in _PARTS:
        yield from _PARTS[table.name](document)
        return
    columns = [name for name in table.column_names if name not in ("doc_id", "crawl")]
    for row in document.rows(table).orderBy(*table.key).collect():
        yield table.name, ", ".join(f"{name} {row[name]}" for name in columns if row[name] is not None)


def _documents(document: Document) -> Lines:
    yield from _record(document.row)
    yield from _text(document.row)
    yield from _rights(document.row)
    yield from _columns(document.row, document.policy)


def _record(document: Row) -> Lines:
    length = f", {document['warc_length']:,} bytes" if document["warc_length"] is not None else ""
    yield "document", document["doc_id"]
    yield "url", document["url"] or "none"
    yield "crawl", document["crawl"]
    yield (
        "record",
        f"{document['warc_path']} at byte {document['warc_offset']}{length}, {document['record_type']} "
        f"{document['record_id'] or 'without an id'}",
    )
    if document["fetched_at"] is not None:
        yield "fetched", document["fetched_at"].strftime("%Y-%m-%d %H:%M:%S UTC")
    yield (
        "response",
        ", ".join(
            str(value)
            for value in (document["http_status"], document["mime"], document["charset"])
            if value is not None
        )
        or "unknown",
    )


def _text(document: Row) -> Lines:
    status, reason, detail = document["extract_status"], document["extract_reason"], document["extract_detail"]
    extractor = f" by {document['extractor']}" if document["extractor"] else ""
    why = f": {reason}, {reason_in_words(reason)}" if reason else ""
    yield "extraction", status + extractor + why + (f" ({detail})" if detail else "")
    if status != "extracted":
        return
    if document["title"]:
        yield "title", " ".join(document["title"].split())
    yield "text", f"{document['characters']:,} characters, hash {document['text_hash']}"
    yield "", " ".join(document["excerpt"].split()) + (" ..." if document["characters"] > EXCERPT else "")
    facts = {name: document[name] for name in ("author", "date", "page_type") if document[name]}
    if facts:
        yield "page", ", ".join(f"{name.replace('_', ' ')} {' '.join(value.split())}" for name, value in facts.items())
    score = f" ({document['language_score']:.3f})" if document["language_score"] is not None else ""
    yield "language", (document["language"] or "none found") + score


def _rights(document: Row) -> Lines:
    if document["licence"]:
        version, confidence = document["licence_version"], document["licence_confidence"]
        yield "licence", f"{document['licence']}{f' {version}' if version else ''}, confidence {number(confidence)}"
    if document["robots"]:
        yield "robots", ", ".join(document["robots"])
    if document["tdm_reservation"] is not None:
        yield (
            "tdm",
            f"reservation "
            f"{document['tdm_reservation']}{f', policy at {document["tdm_policy"]}' if document['tdm_policy'] else ''}",
        )


def _quarantine(document: Document) -> Lines:
    for row in document.rows(QUARANTINE).orderBy("evidence", "list").collect():
        distance = f", {row['distance']} bits off" if row["distance"] is not None else ""
        yield "quarantine", f"{row['evidence']} of list {row['list']}{distance}"


def _signals(document: Document) -> Lines:
    measured = document.rows(SIGNALS_TABLE).first()
    if measured is None:
        return
    width = max(len(signal.key) for signal in SIGNALS)
    lines = [
        f"{signal.key:<{width}}  {number(measured[signal.column.name]):>12}  "
        f"{'; '.join(verdicts(document.policy, signal, measured, document.row['language']))}"
        for signal in SIGNALS
    ]
    yield "signals", "\n".join(lines)


def _columns(document: Row, policy: Policy) -> Lines:
    if document["extract_status"] == "extracted" and policy.column_rules:
        width = max(len(rule.column) for rule in policy.column_rules)
        lines = [f"{rule.column:<{width}}  {column_verdict(policy, rule, document)}" for rule in policy.column_rules]
        yield "columns", "\n".join(lines)


def column_verdict(policy: Policy, rule: ColumnRule, document: Row) -> str:
    """The value in the column that the rule looks at, and whether the rule lets it pass."""
    verdict = f"BREAKS {rule.name}" if breaks_column_rule(policy, rule, document.asDict()) else "passes"
    return f"{column_value(document[rule.column])}  {verdict}: {policy.in_words(rule, document['language'])}"


def verdicts(policy: Policy, signal: Signal, measured: Row, language: str | None) -> Iterator[str]:
    """What the policy makes of one value: each limit with whether it is kept, the bucket, and the weight that it
    changes."""
    value = measured[signal.column.name]
    for rule in policy.signal_rules:
        if rule.signal == signal.key:
            limits = policy.limits_of(rule, language)
            broken = value is not None and (
                (limits.min is not None and value < limits.min) or (limits.max is not None and value > limits.max)
            )
            yield f"{'BREAKS ' + rule.name if broken else 'passes'}: {allowed(limits.min, limits.max)}"
    if value is None:
        return
    if policy.buckets is not None and policy.buckets.signal == signal.key and language in policy.buckets.limits:
        yield f"buckets end at {' and '.join(f'{limit:g}' for limit in policy.buckets.limits[language])}"
    for rule in policy.weigh:
        if rule.signal == signal.key and (
            (rule.above is not None and value > rule.above) or (rule.below is not None and value < rule.below)
        ):
            yield f"weight x {rule.factor:g}"


def _duplicates(document: Document) -> Lines:
    found = False
    for row in document.rows(DUPLICATES).orderBy("kind").collect():
        found = True
        similarity = f", similarity {row['similarity']:.3f}" if row["similarity"] is not None else ""
        where = _named(document.tables, row["representative_id"])
        yield "duplicate", f"{row['kind']}{similarity}, of {where}; rule {row['rule']}"
    of_this = document.tables.of(DUPLICATES).where(F.col("representative_id") == document.row["doc_id"])
    for row in of_this.groupBy("kind").count().orderBy("kind").collect():
        found = True
        yield "stands for", f"{row['count']:,} {row['kind']} duplicate{'s' if row['count'] > 1 else ''}"
    if not found:
        yield "duplicates", "none"


def _named(tables: Tables, doc_id: str) -> str:
    """A document by its URL and id."""
    row = tables.of(DOCUMENTS).where(F.col("doc_id") == doc_id).select("url").first()
    return f"{row['url']} ({doc_id})" if row is not None and row["url"] else doc_id


def _cluster(document: Document) -> Lines:
    cluster = document.rows(CLUSTERS).first()
    if cluster is not None:
        yield "cluster", f"{cluster['cluster_id']}, {cluster['cluster_size']:,} documents"


def _contamination(document: Document) -> Lines:
    for row in document.rows(DECONTAMINATION).orderBy("set_name").collect():
        yield (
            "contains",
            f"{100 * row['item_share']:.1f} % of item {row['item_id']} of evaluation set {row['set_name']}, parts of "
            f"{row['items']:,} items",
        )


def _suspicion(document: Document) -> Lines:
    for row in document.rows(SUSPECTS).orderBy("time", "incident_id").collect():
        loss = f"loss {number(row['loss'])} where {number(row['usual_loss'])} is usual"
        yield "suspect", f"{row['verdict']} in incident {row['incident_id']} of the training run {row['run']}, {loss}"


def _decision(document: Document) -> Lines:
    decision = document.rows(DECISIONS).first()
    if decision is None:
        yield "decision", "none yet: no selection has run on this crawl"
        return
    weight = f", weight {decision['weight']:g}" if decision["outcome"] == "kept" else ""
    bucket = f", bucket {decision['bucket']}" if decision["bucket"] else ""
    yield "decision", f"{decision['outcome']} under policy {decision['policy']}{weight}{bucket}"
    if decision["rejected_by"]:
        width = max(map(len, decision["rejected_by"]))
        yield "rejected by", "\n".join(f"{rule:<{width}}  {meaning(rule)}" for rule in decision["rejected_by"])


def _emptied(document: Document) -> Lines:
    for row in document.rows(EMPTIED).collect():
        yield "left out by", f"{LEFT_EMPTY}: nothing is left of it after {', '.join(row['rules'])}"


def _edits(table: Table, document: Document) -> Lines:
    by_rule = (
        document.rows(table)
        .groupBy("kind", "rule")
        .agg(F.count(F.lit(1)).alias("spans"), F.sum(F.col("end") - F.col("start")).alias("characters"))
    )
    for row in by_rule.orderBy("kind", "rule").collect():
        yield (
            "edits",
            f"{row['kind']}, rule {row['rule']}: {row['spans']:,} span{'s' if row['spans'] > 1 else ''} of "
            f"{row['characters']:,} characters",
        )


def _corpus(document: Document) -> Lines:
    row = document.rows(CORPUS).select("source", "weight", F.length("text").alias("characters")).first()
    if row is not None:
        yield "corpus", f"{row['characters']:,} characters in source {row['source']}, weight {row['weight']:g}"


def _tokens(document: Document) -> Lines:
    columns = ("source", "increment", "shuffle_key", "n_tokens", "tokenizer")
    row = document.rows(TOKENS).select(*columns).orderBy(F.col("increment").desc()).first()
    if row is None:
        return
    comes_before: Column = (F.col("shuffle_key") < row["shuffle_key"]) | (
        (F.col("shuffle_key") == row["shuffle_key"]) & (F.col("doc_id") < document.row["doc_id"])
    )
    before = F.when(comes_before, F.col("n_tokens"))
    same_part = (F.col("source") == row["source"]) & (F.col("increment") == row["increment"])
    increment = document.tables.of(TOKENS).where(same_part)
    place = increment.agg(
        F.count(before).alias("documents"),
        F.coalesce(F.sum(before), F.lit(0)).alias("tokens"),
        F.count(F.lit(1)).alias("all"),
    ).first()
    yield (
        "tokens",
        f"{row['n_tokens']:,} of source {row['source']}, increment {row['increment']}, by tokenizer "
        f"{row['tokenizer'][:12]}",
    )
    yield (
        "",
        f"document {place['documents'] + 1:,} of {place['all']:,} in the first epoch, from token {place['tokens']:,} "
        f"(shuffle key {row['shuffle_key']})",
    )


def _withdrawals(document: Document) -> Lines:
    for row in document.rows(WITHDRAWN).orderBy("withdrawal").collect():
        replaced = f", replaced by increment {row['replaced_by']}" if row["replaced_by"] is not None else ""
        yield (
            "withdrawn",
            f"{row['reason']}: not read up to increment {row['increment']}{replaced}; withdrawal {row['withdrawal']}, "
            f"at version {row['tokens_version']} of tokens",
        )


_PARTS: dict[str, Callable[[Document], Lines]] = {
    DOCUMENTS.name: _documents,
    QUARANTINE.name: _quarantine,
    SIGNALS_TABLE.name: _signals,
    DECONTAMINATION.name: _contamination,
    DUPLICATES.name: _duplicates,
    CLUSTERS.name: _cluster,
    DECISIONS.name: _decision,
    **{table.name: partial(_edits, table) for table in SPANS},
    CORPUS.name: _corpus,
    EMPTIED.name: _emptied,
    TOKENS.name: _tokens,
    WITHDRAWN.name: _withdrawals,
    SUSPECTS.name: _suspicion,
}
"""How the rows of a table are told; those of a table that is not here are told as they are."""


def _no_such_document(tables: Tables, lake: str, document: str) -> str:
    """The message, with URLs of the same host, the most alike first; for what is no URL, ids that begin with it and
    URLs that hold it."""
    host = host_of(document)
    if host is not None:
        # Levenshtein's cost grows with both lengths, and a URL may have a megabyte.
        unlike = F.levenshtein(F.substring("url", 1, 500), F.lit(document[:500]))
        near = (
            tables.of(DOCUMENTS)
            .where(F.col("host") == host)
            .groupBy(F.col("url").alias("name"))
            .agg(F.min(unlike).alias("order"))
        )
    else:
        name = F.when(F.col("doc_id").startswith(document), F.col("doc_id")).when(
            F.col("url").contains(document), F.col("url")
        )
        near = (
            tables.of(DOCUMENTS)
            .select(name.alias("name"), F.lit(0).alias("order"))
            .where(F.col("name").isNotNull())
            .distinct()
        )
    names = [printable(row["name"]) for row in near.orderBy("order", "name").limit(NEAR_MATCHES).collect()]
    return f"{document}: no such document in {lake}{'; near: ' + ', '.join(names) if names else ''}"
