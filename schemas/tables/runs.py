"""`runs`: the ledger. A row is written last, when the output of its run is committed."""

from schemas.contract import Check, Column, Table

RUNS = Table(
    name="runs",
    grain="one finished execution of a stage, or of a training run",
    asked="what ran, stage or training: configuration, code, input and output versions, counts, models, seconds",
    key=("run_id",),
    columns=(
        Column(name="run_id", type="string", description="random id of the execution"),
        Column(name="stage", type="string", description="name of the stage"),
        Column(
            name="crawl",
            type="string",
            nullable=True,
            description="crawl that the stage was confined to; null for the whole lake",
        ),
        Column(
            name="fingerprint",
            type="string",
            description="hash of stage, configuration, code and inputs: equal fingerprints mean equal output",
        ),
        Column(name="config", type="string", description="the resolved configuration, seeds included, as JSON"),
        Column(name="code_version", type="string", description="version and hash of the source code"),
        Column(
            name="inputs",
            type="string",
            description="JSON object: input table (or file listing) to its version (or hash)",
        ),
        Column(name="output_table", type="string", description="table, or folder, that was written"),
        Column(name="output_version", type="long", nullable=True, description="Delta version that the run committed"),
        Column(name="counts", type="string", description="JSON object of counts observed during the write"),
        Column(
            name="models", type="string", description="JSON object: model file to SHA-256, for stages that apply models"
        ),
        Column(name="started_at", type="timestamp", description="when it started"),
        Column(name="seconds", type="double", description="how long it took"),
    ),
    checks=(Check(name="seconds_not_negative", condition="seconds >= 0"),),
)
