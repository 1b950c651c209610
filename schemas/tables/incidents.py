"""`incidents` and `suspects`: what went wrong in training runs, and the documents that are held responsible for it."""

from schemas.contract import Check, Column, Table
from schemas.tables.document_columns import DOC_ID

INCIDENTS = Table(
    name="incidents",
    grain="one step of a training run whose loss or gradient norm was a spike, with the most unlikely documents of its "
    "batch, the first ones first",
    asked="which documents were in the batch of a spike of training, how unlikely were their tokens, what was done",
    key=("incident_id",),
    columns=(
        Column(name="incident_id", type="string", description="random id"),
        Column(name="run", type="string", description="folder of the run"),
        Column(name="time", type="timestamp", description="when it was seen"),
        Column(name="step", type="long", description="step of the run, from 1"),
        Column(name="batch", type="long", description="global batch of the data plan, from 0"),
        Column(name="batch_hash", type="string", description="hash of the batch, as in the run's metrics"),
        Column(name="kind", type="string", description="`loss`, `gradient_norm`, or `not_finite`"),
        Column(
            name="action",
            type="string",
            description="`record`, `skip` (its update was left out), `roll_back`, or `stop`",
        ),
        Column(
            name="loss",
            type="double",
            nullable=True,
            description="mean loss in nats a token; null where it was not finite",
        ),
        Column(
            name="usual_loss",
            type="double",
            nullable=True,
            description="median of the steps before; null where there were too few",
        ),
        Column(
            name="loss_deviations",
            type="double",
            nullable=True,
            description="how many standard deviations it is above that",
        ),
        Column(
            name="gradient_norm",
            type="double",
            nullable=True,
            description="norm before clipping; null where it was not finite",
        ),
        Column(name="usual_gradient_norm", type="double", nullable=True, description="median of the steps before"),
        Column(
            name="gradient_deviations",
            type="double",
            nullable=True,
            description="how many standard deviations it is above that",
        ),
        Column(
            name="rolled_back_to",
            type="long",
            nullable=True,
            description="steps behind the checkpoint that the run went back to",
        ),
        Column(name="skipped_from", type="long", nullable=True, description="first batch that is left out from now on"),
        Column(
            name="skipped_until", type="long", nullable=True, description="first batch after those that are left out"
        ),
        Column(
            name="doc_ids",
            type="array<string>",
            description="documents of the batch, most unlikely first; the next columns have an element for each",
        ),
        Column(name="sources", type="array<string>", description="source of each"),
        Column(name="tokens", type="array<long>", description="tokens of each in the batch"),
        Column(name="losses", type="array<double>", description="mean loss of each, in nats a token"),
        Column(name="excesses", type="array<double>", description="that above the usual loss of its source"),
        Column(
            name="repetitions",
            type="array<long>",
            description="how often in a row the most repeated n-gram of at most 13 tokens comes in it",
        ),
    ),
    checks=(
        Check(name="known_kind", condition="kind IN ('loss', 'gradient_norm', 'not_finite')"),
        Check(name="known_action", condition="action IN ('record', 'skip', 'roll_back', 'stop')"),
        Check(
            name="where_it_went_back_to",
            condition="action = 'roll_back' AND rolled_back_to IS NOT NULL "
            "OR action <> 'roll_back' AND rolled_back_to IS NULL",
        ),
    ),
)

SUSPECTS = Table(
    name="suspects",
    grain="one document that is held responsible for an incident, because it is as unlikely for another checkpoint",
    asked="which documents are held responsible for a spike of training",
    key=("doc_id", "incident_id"),
    columns=(
        DOC_ID,
        Column(name="source", type="string", description="its source in the training plan"),
        Column(name="incident_id", type="string", description="the incident, in `incidents`"),
        Column(name="run", type="string", description="folder of the run"),
        Column(name="time", type="timestamp", description="when it was put here"),
        Column(
            name="verdict",
            type="string",
            description="of the replay: `data fault`; or `forced`, where somebody put it here against the replay's "
            "verdict",
        ),
        Column(
            name="loss",
            type="double",
            description="its mean loss in nats a token, for the checkpoint that finds it more likely",
        ),
        Column(
            name="usual_loss",
            type="double",
            description="median of the documents of neighbouring batches, for the same checkpoint",
        ),
        Column(name="deviations", type="double", description="how many standard deviations it is above that"),
        Column(
            name="repetitions",
            type="long",
            description="how often in a row the most repeated n-gram of at most 13 tokens comes in it",
        ),
    ),
    checks=(Check(name="known_verdict", condition="verdict IN ('data fault', 'forced')"),),
)
