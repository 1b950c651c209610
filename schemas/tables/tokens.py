"""`tokenizers` and `tokens`: what the trainer reads.

Neither uses deletion vectors, column mapping or any other feature that a reader without a JVM could misread.
"""

from schemas.contract import Check, Column, Table
from schemas.tables.document_columns import DOC_ID

TOKENIZERS = Table(
    name="tokenizers",
    grain="one trained tokenizer",
    asked="the tokenizer whole, and how finely it cuts each language",
    key=("fingerprint",),
    columns=(
        Column(name="fingerprint", type="string", description="SHA-256 of the definition, in hex"),
        Column(
            name="kind",
            type="string",
            description="algorithm: `byte-level-bpe`, `sentencepiece-bpe` or `sentencepiece-unigram`",
        ),
        Column(name="vocabulary_size", type="int", description="number of token ids, special tokens included"),
        Column(name="end_of_document_id", type="int", description="id of the token that closes every document"),
        Column(
            name="definition",
            type="string",
            description="the tokenizer as JSON, in the format of the tokenizers library",
        ),
        Column(name="sample_documents", type="long", description="documents that it was trained on"),
        Column(name="sample_bytes", type="long", description="bytes of UTF-8 that it was trained on"),
        Column(
            name="languages",
            type="array<string>",
            description="languages that were measured, by name; the next columns have an element for each",
        ),
        Column(
            name="sample_characters",
            type="array<long>",
            description="characters of the language that it was trained on",
        ),
        Column(
            name="tokens_per_word",
            type="array<double>",
            description="fertility: tokens a word, punctuation marks being words",
        ),
        Column(name="bytes_per_token", type="array<double>", description="compression: bytes of UTF-8 a token"),
        Column(
            name="held_out",
            type="array<boolean>",
            description="whether both were measured on documents that it was not trained on",
        ),
    ),
    checks=(
        Check(
            name="end_of_document_in_vocabulary",
            condition="end_of_document_id >= 0 AND end_of_document_id < vocabulary_size",
        ),
        Check(
            name="one_measure_a_language",
            condition="size(languages) = size(sample_characters) AND size(languages) = size(tokens_per_word) "
            "AND size(languages) = size(bytes_per_token) AND size(languages) = size(held_out)",
        ),
    ),
)

TOKENS = Table(
    name="tokens",
    grain="one document of the corpus; the stored order, by (shuffle_key, doc_id) within a source and increment, is "
    "the order of the first epoch",
    asked="its token ids, stored in the order of training",
    key=("doc_id",),
    partition_by=("source", "increment"),
    columns=(
        DOC_ID,
        Column(name="source", type="string", description="its source in the training plan"),
        Column(
            name="increment",
            type="int",
            description="how often documents had been added before this one was; 0 for those of the first time",
        ),
        Column(name="shuffle_key", type="long", description="keyed hash of doc_id that orders the documents"),
        Column(
            name="weight",
            type="double",
            description="how often an epoch of the training reads the document, on average",
        ),
        Column(name="n_tokens", type="int", description="number of tokens, the closing one included"),
        Column(
            name="tokens",
            type="binary",
            description="token ids, little-endian: uint16 for a vocabulary of at most 65,536, else uint32; ends with "
            "the end-of-document id",
        ),
        Column(name="tokenizer", type="string", description="fingerprint of the tokenizer"),
        Column(name="text_hash", type="string", description="SHA-256, in hex, of the text that was tokenised"),
    ),
    checks=(
        Check(name="increment_not_negative", condition="increment >= 0"),
        Check(name="weight_positive_and_finite", condition="weight > 0 AND weight < double('Infinity')"),
        Check(name="has_tokens", condition="n_tokens > 0"),
        Check(name="two_or_four_bytes_each", condition="octet_length(tokens) IN (2 * n_tokens, 4 * n_tokens)"),
    ),
)
