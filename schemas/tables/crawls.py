"""`crawls`: the crawls of a lake, in the order in which they entered it."""

from schemas.contract import Check, Column, Table

CRAWLS = Table(
    name="crawls",
    grain="one crawl of the lake",
    asked="which crawls are there, and in which order of priority",
    key=("crawl",),
    columns=(
        Column(name="crawl", type="string", description="its name; names order nothing"),
        Column(
            name="ordinal",
            type="int",
            description="how many crawls had entered the lake before it; of two documents the one of the crawl with "
            "the "
            "smaller ordinal stands for the other, and a crawl that is extracted again keeps its own",
        ),
        Column(name="entered_at", type="timestamp", description="when it first entered"),
    ),
    checks=(Check(name="ordinal_not_negative", condition="ordinal >= 0"),),
)
