"""Write `docs/reference/` from the contracts, the signals and the configurations; a test fails when a page is out of
date."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

import schemas.tables
from schemas.contract import Table
from schemas.plumbing.configuration import config_markdown
from spark_jobs.pipeline import STAGES, PipelineConfig
from spark_jobs.signals import SIGNALS
from spark_jobs.stages.decide.policy import BucketRule, LanguageLimits, LanguageRule, Policy, Rule, WeightRule
from training.config import TrainingConfig

REFERENCE = Path(__file__).parent / "reference"
CONFIG_HEADER = "| key | type | default | meaning |\n| --- | --- | --- | --- |"


def pages() -> dict[str, str]:
    """File name to content."""
    return {
        "tables.md": tables(),
        "pipeline.md": pipeline(),
        "training.md": training(),
        "signals.md": signals(),
        "policies.md": policies(),
    }


def tables() -> str:
    stored = [stage.writes for stage in STAGES]
    declared = [
        value
        for module in pkgutil.iter_modules(schemas.tables.__path__)
        for value in vars(importlib.import_module(f"schemas.tables.{module.name}")).values()
        if isinstance(value, Table)
    ]
    unique = {table.name: table for table in [*stored, *declared]}
    return "# Tables\n\nEvery table of the lake, in data-flow order.\n\n" + "\n".join(
        table.markdown() for table in unique.values()
    )


def pipeline() -> str:
    intro = "Keys of a pipeline file, and of `corpus run --set`."
    return f"# Pipeline files\n\n{intro}\n\n{CONFIG_HEADER}\n{config_markdown(PipelineConfig)}\n"


def policies() -> str:
    parts = {
        "": Policy,
        "languages.N.": LanguageRule,
        "languages.N.limits.RULE.": LanguageLimits,
        "rules.N.": Rule,
        "buckets.": BucketRule,
        "weigh.N.": WeightRule,
    }
    rows = "\n".join(config_markdown(model, prefix) for prefix, model in parts.items()).replace(
        "spark_jobs.stages.decide.policy.", ""
    )
    intro = "Keys of a policy file; N stands for a place in a list. `corpus what-if` compares two."
    return f"# Policies\n\n{intro}\n\n{CONFIG_HEADER}\n{rows}\n"


def training() -> str:
    intro = "Keys of a recipe, and of `pretrain run --set`."
    return f"# Training recipes\n\n{intro}\n\n{CONFIG_HEADER}\n{config_markdown(TrainingConfig)}\n"


def signals() -> str:
    rows = "\n".join(signal.markdown() for signal in SIGNALS)
    header = "| key | default limits | meaning | source |\n| --- | --- | --- | --- |"
    return f"# Signals\n\nOne column each in `signals`; a policy names them by key.\n\n{header}\n{rows}\n"


if __name__ == "__main__":
    REFERENCE.mkdir(exist_ok=True)
    for name, text in pages().items():
        (REFERENCE / name).write_text(text, encoding="utf-8")
