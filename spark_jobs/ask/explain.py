"""One document's whole life, as lines of text: where it was read, what it scored, which rules stand against it, and
where its tokens are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from pyspark.sql import Column, DataFrame, Row, SparkSession
from pyspark.sql import functions as F

from schemas.plumbing.errors import UsageError
from spark_jobs.kernels.gates.urls import host_of
from spark_jobs.report.ledger import selecting_policy
from spark_jobs.report.samples import allowed, number
from spark_jobs.report.tables import Tables, open_tables
from spark_jobs.signals import SIGNALS, Signal
from spark_jobs.stages.decide.policy import Policy

CAPTURES_SHOWN = 5
NEAR_MATCHES = 5
EXCERPT = 200
"""Characters of the text that are shown."""

type Lines = Iterable[tuple[str, str]]


def explain_document(spark: SparkSession, lake: str, document: str) -> str:
    """The life of the document with that doc_id, or of the captures of that URL, the earliest first.

    Raises `UsageError` with the nearest URLs or ids where there is none.
    """
    tables = open_tables(spark, lake, None)
    is_wanted = (F.col("doc_id") == document) | (F.col("url") == document)
    columns = [name for name in tables.documents.columns if name != "text"]
    found = tables.documents.where(is_wanted).select(
        *columns, F.substring("text", 1, EXCERPT).alias("excerpt"), F.length("text").alias("characters")
    )
    captures = found.orderBy("fetched_at", "doc_id").limit(CAPTURES_SHOWN + 1).collect()
    if not captures:
        raise UsageError(_no_such_document(tables, lake, document))
    selecting = selecting_policy(tables)
    lives = [aligned(_life(tables, capture, selecting.policy)) for capture in captures[:CAPTURES_SHOWN]]
    if selecting.lost:
        lives.append(f"The policy in the ledger is read without {', '.join(selecting.lost)}.")
    if len(captures) > CAPTURES_SHOWN:
        lives.append(f"The URL has more captures than these {CAPTURES_SHOWN}; ask for one by its doc_id.")
    return "\n\n".join(lives)


def aligned(lines: Lines) -> str:
    """Names in one column, values in the next; a value of several lines stays in its column, and no control
    character reaches the terminal."""
    rows = [(name, value.split("\n")) for name, value in lines]
    width = max((len(name) for name, _ in rows), default=0) + 2
    return "\n".join(
        f"{name if i == 0 else '':<{width}}{_printable(part)}".rstrip()
        for name, parts in rows
        for i, part in enumerate(parts)
    )


def _life(tables: Tables, document: Row, policy: Policy) -> Lines:
    doc_id = document["doc_id"]
    yield from _record(document)
    yield from _text(document)
    yield from _rights(document)
    yield from _quarantine(tables, doc_id)
    yield from _signals(tables, document, policy)
    yield from _duplicates(tables, doc_id)
    yield from _contamination(tables, doc_id)
    yield from _suspicion(tables, doc_id)
    yield from _decision(tables, doc_id)
    yield from _edits(tables, doc_id)
    yield from _corpus(tables, doc_id)
    yield from _tokens(tables, doc_id)


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
    yield "extraction", status + extractor + (f": {reason}" if reason else "") + (f" ({detail})" if detail else "")
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


def _quarantine(tables: Tables, doc_id: str) -> Lines:
    for row in tables.quarantine.where(F.col("doc_id") == doc_id).orderBy("evidence", "list").collect():
        distance = f", {row['distance']} bits off" if row["distance"] is not None else ""
        yield "quarantine", f"{row['evidence']} of list {row['list']}{distance}"


def _signals(tables: Tables, document: Row, policy: Policy) -> Lines:
    measured = _only(tables.signals, document["doc_id"])
    if measured is None:
        return
    width = max(len(signal.key) for signal in SIGNALS)
    lines = [
        f"{signal.key:<{width}}  {number(measured[signal.column.name]):>12}  "
        f"{'; '.join(verdicts(policy, signal, measured, document['language']))}"
        for signal in SIGNALS
    ]
    yield "signals", "\n".join(lines)


def verdicts(policy: Policy, signal: Signal, measured: Row, language: str | None) -> Iterator[str]:
    """What the policy makes of one value: each limit with whether it is kept, the bucket, and the weight that it
    changes."""
    value = measured[signal.column.name]
    for rule in policy.rules:
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


def _duplicates(tables: Tables, doc_id: str) -> Lines:
    found = False
    for row in tables.duplicates.where(F.col("doc_id") == doc_id).orderBy("kind").collect():
        found = True
        original = _only(tables.documents.select("doc_id", "url"), row["representative_id"])
        has_url = original is not None and original["url"]
        where = f"{original['url']} ({row['representative_id']})" if has_url else row["representative_id"]
        similarity = f", similarity {row['similarity']:.3f}" if row["similarity"] is not None else ""
        yield "duplicate", f"{row['kind']}{similarity}, of {where}; rule {row['rule']}"
    stands_for = tables.duplicates.where(F.col("representative_id") == doc_id).groupBy("kind").count()
    for row in stands_for.orderBy("kind").collect():
        found = True
        yield "stands for", f"{row['count']:,} {row['kind']} duplicate{'s' if row['count'] > 1 else ''}"
    cluster = _only(tables.clusters, doc_id)
    if cluster is not None:
        found = True
        yield "cluster", f"{cluster['cluster_id']}, {cluster['cluster_size']:,} documents"
    if not found:
        yield "duplicates", "none"


def _contamination(tables: Tables, doc_id: str) -> Lines:
    for row in tables.decontamination.where(F.col("doc_id") == doc_id).orderBy("set_name").collect():
        yield (
            "contains",
            f"{100 * row['item_share']:.1f} % of item {row['item_id']} of evaluation set {row['set_name']}, parts of "
            f"{row['items']:,} items",
        )


def _suspicion(tables: Tables, doc_id: str) -> Lines:
    for row in tables.suspects.where(F.col("doc_id") == doc_id).orderBy("time", "incident_id").collect():
        loss = f"loss {number(row['loss'])} where {number(row['usual_loss'])} is usual"
        yield "suspect", f"{row['verdict']} in incident {row['incident_id']} of the training run {row['run']}, {loss}"


def _decision(tables: Tables, doc_id: str) -> Lines:
    decision = _only(tables.decisions, doc_id)
    if decision is None:
        yield "decision", "none yet: no selection has run on this crawl"
        return
    weight = f", weight {decision['weight']:g}" if decision["outcome"] == "kept" else ""
    bucket = f", bucket {decision['bucket']}" if decision["bucket"] else ""
    yield "decision", f"{decision['outcome']} under policy {decision['policy']}{weight}{bucket}"
    if decision["rejected_by"]:
        yield "rejected by", "\n".join(decision["rejected_by"])


def _edits(tables: Tables, doc_id: str) -> Lines:
    spans = tables.spans.where(F.col("doc_id") == doc_id)
    by_rule = spans.groupBy("kind", "rule").agg(
        F.count(F.lit(1)).alias("spans"), F.sum(F.col("end") - F.col("start")).alias("characters")
    )
    for row in by_rule.orderBy("kind", "rule").collect():
        yield (
            "edits",
            f"{row['kind']}, rule {row['rule']}: {row['spans']:,} span{'s' if row['spans'] > 1 else ''} of "
            f"{row['characters']:,} characters",
        )


def _corpus(tables: Tables, doc_id: str) -> Lines:
    row = (
        tables.corpus.where(F.col("doc_id") == doc_id)
        .select("source", "weight", F.length("text").alias("characters"))
        .first()
    )
    if row is not None:
        yield "corpus", f"{row['characters']:,} characters in source {row['source']}, weight {row['weight']:g}"


def _tokens(tables: Tables, doc_id: str) -> Lines:
    row = _only(tables.tokens.select("doc_id", "source", "increment", "shuffle_key", "n_tokens", "tokenizer"), doc_id)
    if row is None:
        return
    comes_before: Column = (F.col("shuffle_key") < row["shuffle_key"]) | (
        (F.col("shuffle_key") == row["shuffle_key"]) & (F.col("doc_id") < doc_id)
    )
    before = F.when(comes_before, F.col("n_tokens"))
    increment = tables.tokens.where((F.col("source") == row["source"]) & (F.col("increment") == row["increment"]))
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


def _only(data: DataFrame, doc_id: str) -> Any | None:
    return data.where(F.col("doc_id") == doc_id).first()


def _no_such_document(tables: Tables, lake: str, document: str) -> str:
    """The message, with URLs of the same host, the most alike first; for what is no URL, ids that begin with it and
    URLs that hold it."""
    host = host_of(document)
    if host is not None:
        # Levenshtein's cost grows with both lengths, and a URL may have a megabyte.
        unlike = F.levenshtein(F.substring("url", 1, 500), F.lit(document[:500]))
        near = (
            tables.documents.where(F.col("host") == host)
            .groupBy(F.col("url").alias("name"))
            .agg(F.min(unlike).alias("order"))
        )
    else:
        name = F.when(F.col("doc_id").startswith(document), F.col("doc_id")).when(
            F.col("url").contains(document), F.col("url")
        )
        near = (
            tables.documents.select(name.alias("name"), F.lit(0).alias("order"))
            .where(F.col("name").isNotNull())
            .distinct()
        )
    names = [_printable(row["name"]) for row in near.orderBy("order", "name").limit(NEAR_MATCHES).collect()]
    return f"{document}: no such document in {lake}{'; near: ' + ', '.join(names) if names else ''}"


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else "\ufffd" for character in text)
