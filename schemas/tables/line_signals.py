"""`line_signals`: what was measured on the lines of a document, as RedPajama-V2 publishes it (Weber et al. 2024,
arXiv:2411.12372, appendix on signals)."""

from schemas.contract import Check, Column, Table
from schemas.tables.document_columns import CRAWL, DOC_ID

_ARRAYS = (
    "starts",
    "ends_with_terminal_punctuation",
    "uppercase_letter_fraction",
    "numerical_character_fraction",
    "n_words",
    "starts_with_bullet",
)

LINE_SIGNALS = Table(
    name="line_signals",
    grain="one extracted document; its arrays have an item for each line between line feeds, blank lines too, and none "
    "for an empty text",
    asked="what was measured of single lines, for the rules that take lines out",
    explained=False,
    key=("doc_id",),
    partition_by=("crawl",),
    columns=(
        DOC_ID,
        CRAWL,
        Column(name="starts", type="array<int>", description="first character of the line in `documents.text`, from 0"),
        Column(
            name="ends_with_terminal_punctuation",
            type="array<boolean>",
            description="whether it ends in one of . ! ? and the closing quotation mark",
        ),
        Column(
            name="uppercase_letter_fraction",
            type="array<double>",
            description="upper case letters as a fraction of its characters; 0 for a blank line",
        ),
        Column(
            name="numerical_character_fraction",
            type="array<double>",
            description="digits as a fraction of its characters; 0 for a blank line",
        ),
        Column(
            name="n_words", type="array<int>", description="words between white space with a letter or digit in them"
        ),
        Column(
            name="starts_with_bullet",
            type="array<boolean>",
            description="whether it starts with a bullet, a triangle, a square or an en dash",
        ),
        Column(
            name="javascript_count", type="array<int>", description="occurrences of the word javascript, in any case"
        ),
    ),
    checks=(
        Check(
            name="an_item_for_each_line",
            condition=" AND ".join(f"size({name}) = size(javascript_count)" for name in _ARRAYS),
        ),
    ),
)
