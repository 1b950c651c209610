"""`candidate_pairs`, `similarities`, `duplicates` and `clusters`: which texts may be alike, how alike they are, and
which documents repeat a kept one."""

from schemas.contract import Check, Column, Table
from schemas.tables.document_columns import CRAWL, DOC_ID

CANDIDATE_PAIRS = Table(
    name="candidate_pairs",
    grain="one pair of texts of eligible documents that share a bucket, to be compared under the policy",
    asked="which texts are to be compared under the policy",
    explained=False,
    key=("text", "other"),
    columns=(
        Column(name="text", type="string", description="hash of the text whose hash is the smaller"),
        Column(name="other", type="string", description="hash of the other text"),
        Column(name="doc_id", type="string", description="a document that has the text"),
        Column(name="other_id", type="string", description="a document that has the other text"),
    ),
    checks=(Check(name="once_a_pair", condition="text < other"),),
)

SIMILARITIES = Table(
    name="similarities",
    grain="one pair of texts, as they were compared once for all policies; whether they are similar is for a threshold "
    "to say",
    asked="how similar are two texts, whatever the threshold",
    key=("text", "other", "scheme"),
    columns=(
        Column(name="text", type="string", description="hash of the text whose hash is the smaller"),
        Column(name="other", type="string", description="hash of the other text"),
        Column(name="similarity", type="double", description="exact Jaccard similarity of their sets of shingles"),
        Column(
            name="scheme",
            type="string",
            description="what the sets are made of; similarities of two schemes do not mix",
        ),
    ),
    checks=(
        Check(name="once_a_pair", condition="text < other"),
        Check(name="similarity_is_fraction", condition="similarity BETWEEN 0 AND 1"),
    ),
)

DUPLICATES = Table(
    name="duplicates",
    grain="one eligible document that repeats a kept one before it, and the kind of likeness",
    asked="which kept document stands for it, and how similar they were when compared",
    key=("doc_id", "kind"),
    columns=(
        Column(name="doc_id", type="string", description="the duplicate, to be removed"),
        CRAWL,
        Column(
            name="kind",
            type="string",
            description="`exact`: an equal text; `near`: a similar one; `url`: another capture of the same page",
        ),
        Column(
            name="representative_id",
            type="string",
            description="the kept document that stands for it: the first by crawl and quality of those alike in this "
            "way",
        ),
        Column(
            name="similarity",
            type="double",
            nullable=True,
            description="verified Jaccard similarity of the two texts, 1 for equal ones; null for captures of a page, "
            "whose texts are not compared",
        ),
        Column(
            name="rule", type="string", description="name and version of the rule that decided, with its parameters"
        ),
    ),
    checks=(
        Check(name="known_kind", condition="kind IN ('exact', 'near', 'url')"),
        Check(name="not_its_own_duplicate", condition="doc_id <> representative_id"),
        Check(name="similarity_is_fraction", condition="similarity BETWEEN 0 AND 1"),
        Check(name="similarity_of_texts", condition="(kind = 'url') = (similarity IS NULL)"),
    ),
)

CLUSTERS = Table(
    name="clusters",
    grain="one eligible document whose text equals or is similar to another's, directly or through others",
    asked="how many are there of it",
    key=("doc_id",),
    columns=(
        DOC_ID,
        CRAWL,
        Column(name="cluster_id", type="string", description="the smallest doc_id of the connected component"),
        Column(
            name="cluster_size", type="long", description="eligible documents in the component, equal ones included"
        ),
    ),
    checks=(Check(name="more_than_one_member", condition="cluster_size > 1"),),
)
