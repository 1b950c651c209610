"""`models`: trained and evaluated models, with their cards, so that the report can say how good each is."""

from schemas.contract import Check, Column, Table

MODELS = Table(
    name="models",
    grain="one model as it was trained, or measured on a hold-out",
    asked="how good is a model, language by language, on texts that were kept back",
    key=("kind", "name", "sha256", "card"),
    columns=(
        Column(name="kind", type="string", description="perplexity, language-id, quality, topic, toxicity or nsfw"),
        Column(name="name", type="string", description="name of the model's file"),
        Column(name="language", type="string", nullable=True, description="the language that it is for; null for any"),
        Column(name="path", type="string", description="where it lay"),
        Column(name="sha256", type="string", description="of its file, as `runs.models` has it"),
        Column(
            name="holdout_documents", type="long", description="documents or labelled texts that it was measured on"
        ),
        Column(name="metric", type="string", description="what `value` is"),
        Column(
            name="value",
            type="double",
            nullable=True,
            description="one figure of how good it is; null where the hold-out gave none",
        ),
        Column(
            name="card",
            type="string",
            description="its card: sources, settings, figures by label or percentile, as JSON",
        ),
        Column(name="recorded_at", type="timestamp", description="when the row was written"),
    ),
    checks=(
        Check(
            name="known_kind", condition="kind IN ('perplexity', 'language-id', 'quality', 'topic', 'toxicity', 'nsfw')"
        ),
        Check(name="holdout_not_negative", condition="holdout_documents >= 0"),
    ),
)
