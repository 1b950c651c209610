"""The stages in data-flow order, and the configuration of all of them; nothing else."""

from __future__ import annotations

from pydantic import Field, create_model, model_validator

from schemas.plumbing import configuration
from schemas.plumbing.configuration import Config
from schemas.plumbing.errors import UsageError
from schemas.tables.incidents import SUSPECTS
from spark_jobs.kernels.models.fasttext_model import load_model
from spark_jobs.lake.session import SessionConfig
from spark_jobs.lake.stage import Stage
from spark_jobs.stages.decide import judge_eligible, select_corpus
from spark_jobs.stages.decide.decide import closing_sources, sources
from spark_jobs.stages.decide.requirements import require_languages, require_models
from spark_jobs.stages.deduplicate import (
    cluster_duplicates,
    compare_texts,
    deduplicate,
    find_candidates,
    index_bands,
    minhash_signatures,
)
from spark_jobs.stages.deliver import (
    assemble_corpus,
    record_emptied,
    tokenize_corpus,
    train_tokenizer,
    withdraw_documents,
)
from spark_jobs.stages.edit import deduplicate_substrings, edit_lines, redact_pii
from spark_jobs.stages.measure import decontaminate, score_lines, score_signals
from spark_jobs.stages.read import extract_text, screen_safety

READ: tuple[Stage, ...] = (extract_text.STAGE, screen_safety.STAGE)
"""What only the WARC files can give; once for each crawl."""

MEASURE: tuple[Stage, ...] = (
    score_signals.STAGE,
    score_lines.STAGE,
    decontaminate.STAGE,
    minhash_signatures.STAGE,
    index_bands.STAGE,
)
"""What is measured of each document, whatever the policy; once for each crawl."""

DECIDE: tuple[Stage, ...] = (
    judge_eligible.STAGE,
    find_candidates.STAGE,
    compare_texts.STAGE,
    deduplicate.STAGE,
    cluster_duplicates.STAGE,
    select_corpus.STAGE,
    edit_lines.STAGE,
    redact_pii.STAGE,
    deduplicate_substrings.STAGE,
    assemble_corpus.STAGE,
    record_emptied.STAGE,
    withdraw_documents.STAGE,
    train_tokenizer.STAGE,
    tokenize_corpus.STAGE,
)
"""From what was measured to the tokens, for all crawls of the lake together and without any WARC file."""

STAGES: tuple[Stage, ...] = (*READ, *MEASURE, *DECIDE)

FROM_TRAINING = (SUSPECTS,)
"""Tables that no stage writes but training runs do; a lake that has none of a table has an empty one."""


class PipelineKeys(configuration.Config):
    """The keys of a pipeline file that belong to no stage."""

    crawl: str = Field(default="crawl", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """Name of the crawl; rows of the same name are replaced, those of other crawls stay. Crawls are ordered by when
    they first enter the lake, never by name."""
    session: SessionConfig = SessionConfig()
    """How to start Spark."""


def require_fitting_stages(config: PipelineKeys) -> PipelineKeys:
    """Raises `UsageError` where one stage's settings ask for what another's do not give."""
    index_bands.require_hashes(config.index_bands, config.minhash_signatures.hashes)
    return config


# A group of keys for each stage that has some, so that a stage and its settings are declared once.
PipelineConfig = create_model(
    "PipelineConfig",
    __base__=PipelineKeys,
    __validators__={"stages_fit_together": model_validator(mode="after")(require_fitting_stages)},
    __doc__="A pipeline file: a name for the crawl, and a group of keys for each stage.",
    **{
        stage.name: (stage.config, Field(default_factory=stage.config, description=stage.config.__doc__))
        for stage in STAGES
        if stage.config is not None
    },
)


def settings_of(stage: Stage, config: PipelineKeys) -> Config:
    """What a stage runs under."""
    return stage.settings(config) if stage.settings is not None else getattr(config, stage.name)


def enabled_stages(config: PipelineKeys) -> tuple[Stage, ...]:
    return tuple(stage for stage in STAGES if stage.enabled(settings_of(stage, config)))


def stages_until(name: str | None) -> tuple[Stage, ...]:
    names = [stage.name for stage in STAGES]
    if name is not None and name not in names:
        raise UsageError(f"--until {name}: no such stage; the stages are {', '.join(names)}")
    return STAGES if name is None else STAGES[: names.index(name) + 1]


def require_policy_can_decide(config: PipelineKeys) -> None:
    """Raises `UsageError` where a rule of the policy waits for what no configured model gives, or no enabled stage
    writes."""
    policy = config.select_corpus.policy
    written = {stage.writes.name for stage in enabled_stages(config)} | {table.name for table in FROM_TRAINING}
    for source in (*sources(policy), *closing_sources(policy)):
        if source.table.name not in written:
            raise UsageError(
                f"policy {policy.name} looks at the table {source.table.name}, but no stage that is switched on "
                f"writes it"
            )
    unknown = set(policy.decontamination.sets if policy.decontamination else ()) - set(config.decontaminate.sets)
    if unknown:
        raise UsageError(
            f"policy {policy.name} names evaluation sets that decontaminate does not have: {', '.join(sorted(unknown))}"
        )
    require_models(policy, score_signals.configured_models(config.score_signals))
    require_languages(policy, load_model(config.extract_text.language.model_path()).labels)
