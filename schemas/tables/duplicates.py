"""`url_duplicates`, `exact_duplicates`, `near_duplicates` and `clusters`: which documents repeat others, with the
evidence.

They are tables of their own, not one with a `kind`: each stage owns the table that it writes, so each can be rerun
alone.
"""

from schemas.contract import Check, Column, Table

_EVIDENCE = (
    Column(name="doc_id", type="string", description="the duplicate, to be removed"),
    Column(name="crawl", type="string", description="its crawl"),
    Column(name="representative_id", type="string", description="the earlier document that stands for it"),
    Column(
        name="similarity",
        type="double",
        description="verified Jaccard similarity of the two documents' shingle sets; 1 for equal texts",
    ),
    Column(name="rule", type="string", description="name and version of the rule that decided, with its parameters"),
)
_EVIDENCE_CHECKS = (
    Check(name="not_its_own_duplicate", condition="doc_id <> representative_id"),
    Check(name="similarity_is_fraction", condition="similarity BETWEEN 0 AND 1"),
)

URL_DUPLICATES = Table(
    name="url_duplicates",
    grain="one document whose page has another capture that stands for it",
    key=("doc_id",),
    columns=(
        Column(name="doc_id", type="string", description="the other capture, to be removed"),
        Column(name="crawl", type="string", description="its crawl"),
        Column(name="representative_id", type="string", description="the capture that stands for the page"),
        Column(
            name="page", type="string", description="what their URLs have in common: host, path and query in one form"
        ),
        Column(name="rule", type="string", description="name and version of the rule that decided"),
    ),
    checks=(Check(name="not_its_own_duplicate", condition="doc_id <> representative_id"),),
)

EXACT_DUPLICATES = Table(
    name="exact_duplicates",
    grain="one document whose text equals that of an earlier one",
    key=("doc_id",),
    columns=_EVIDENCE,
    checks=_EVIDENCE_CHECKS,
)

NEAR_DUPLICATES = Table(
    name="near_duplicates",
    grain="one document that repeats a kept document before it, by the rule of its row",
    key=("doc_id",),
    columns=_EVIDENCE,
    checks=_EVIDENCE_CHECKS,
)

CLUSTERS = Table(
    name="clusters",
    grain="one document that shares a bucket or its text, directly or through others, with another",
    key=("doc_id",),
    columns=(
        Column(name="doc_id", type="string", description="the document"),
        Column(name="crawl", type="string", description="its crawl"),
        Column(name="cluster_id", type="string", description="the smallest doc_id of the connected component"),
        Column(name="cluster_size", type="long", description="documents in the component, equal ones included"),
    ),
    checks=(Check(name="more_than_one_member", condition="cluster_size > 1"),),
)
