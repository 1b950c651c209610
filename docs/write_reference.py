"""Write `docs/reference/`, and sections of other pages, from the contracts, the stages, the signals and the
configurations; a test fails when one is out of date."""

from __future__ import annotations

import re
import sys
from itertools import groupby
from pathlib import Path

from schemas.plumbing.configuration import config_markdown
from schemas.tables import reasons
from schemas.tables.warc_files import WARC_FILES
from spark_jobs.lake.stage import Stage
from spark_jobs.lake.tables import TABLES
from spark_jobs.pipeline import DECIDE, MEASURE, READ, PipelineConfig, settings_of
from spark_jobs.signals import SIGNALS
from spark_jobs.stages.decide.column_rules import ColumnRule
from spark_jobs.stages.decide.limits import LanguageLimits
from spark_jobs.stages.decide.policy import Policy
from spark_jobs.stages.decide.signal_rules import SignalRule
from training.config import TrainingConfig

ROOT = Path(__file__).resolve().parents[1]
REFERENCE = ROOT / "docs" / "reference"
CONFIG_HEADER = "| key | type | default | meaning |\n| --- | --- | --- | --- |"


def pages() -> dict[str, str]:
    """File name to content."""
    return {
        "tables.md": tables(),
        "reasons.md": why(),
        "pipeline.md": pipeline(),
        "training.md": training(),
        "signals.md": signals(),
        "policies.md": policies(),
    }


def sections() -> dict[str, str]:
    """Pages by path, as they should be: what stands between a pair of comments is written from the declarations."""
    return {
        path: with_section(ROOT / path, {name: write() for name, write in named.items()})
        for path, named in {
            "README.md": {"tables": questions},
            "spark_jobs/README.md": {
                "read": lambda: flow(READ),
                "measure": lambda: flow(MEASURE),
                "decide": lambda: flow(DECIDE),
            },
        }.items()
    }


def with_section(page: Path, texts: dict[str, str]) -> str:
    """The page with each text between its comments."""
    content = page.read_text(encoding="utf-8")
    for name, text in texts.items():
        begin, end = f"<!-- {name}: written by docs/write_reference.py -->\n", f"<!-- end of {name} -->"
        before, rest = content.split(begin)
        content = f"{before}{begin}\n{text}\n\n{end}{rest.split(end)[1]}"
    return content


def questions() -> str:
    """Tables by what they answer; those that answer one question together share a row."""
    rows = [
        f"| {', '.join(f'`{table.name}`' for table in together)} | {asked} |"
        for asked, together in groupby(TABLES, key=lambda table: table.asked)
    ]
    return "\n".join(["| table | what you can ask of it |", "| --- | --- |", *rows])


def flow(stages: tuple[Stage, ...]) -> str:
    """What each stage does, by the beginning of its file's docstring; what it is about; and what a refresh costs."""
    return "\n".join(
        [
            "| stage | writes | about | at a refresh | what it does |",
            "| --- | --- | --- | --- | --- |",
            *(flow_row(stage) for stage in stages),
        ]
    )


def flow_row(stage: Stage) -> str:
    module = sys.modules[stage.transform.__module__]
    assert module.__file__ is not None and module.__doc__ is not None
    link = Path(module.__file__).relative_to(ROOT / "spark_jobs").as_posix()
    settings = settings_of(stage, PipelineConfig())
    about = "the crawl, a task for each file" if WARC_FILES in stage.reads else f"the {stage.scope}"
    if stage.keep(settings):
        cost = "nothing, while its settings stay"
    elif stage.grow is not None:
        cost = "what is new, appended"
    elif stage.scope == "lake":
        cost = "the lake"
    elif stage in DECIDE:
        cost = "each crawl whose inputs have changed"
    else:
        cost = "the new crawl"
    off = "" if stage.enabled(settings) else "; off by default"
    does = " ".join(module.__doc__.split("\n\n")[0].split())
    return f"| [{stage.name}]({link}) | `{stage.writes.name}` | {about}{off} | {cost} | {does} |"


def tables() -> str:
    intro = "Every table of a lake, in the order of a page's life."
    return f"# Tables\n\n{intro}\n\n" + "\n".join(table.markdown() for table in TABLES)


def why() -> str:
    intro = "Why a page is not in the corpus: the words that tables, `corpus explain` and the report use."
    return f"# Reasons\n\n{intro}\n\n{reasons.markdown()}"


def pipeline() -> str:
    intro = "Keys of a pipeline file, and of `corpus run --set`."
    return f"# Pipeline files\n\n{intro}\n\n{CONFIG_HEADER}\n{config_markdown(PipelineConfig)}\n"


def policies() -> str:
    extends = (
        "| `extends` | str | none | Name of a bundled policy or path of a file, whose keys these change: "
        "see [policies](../policies.md). |\n"
    )
    parts = {
        "Keys of a policy file; N stands for a place in a list. `corpus what-if` compares two.": (
            extends + config_markdown(Policy) + "\n" + config_markdown(LanguageLimits, "languages.N.limits.RULE.")
        ),
        "A rule on a signal:": config_markdown(SignalRule, "rules.N."),
        "A rule on a column of `documents`:": config_markdown(ColumnRule, "rules.N."),
    }
    tables = "\n\n".join(f"{title}\n\n{CONFIG_HEADER}\n{rows}" for title, rows in parts.items())
    return "# Policies\n\n" + re.sub(r"\bspark_jobs\.stages\.decide\.\w+\.", "", tables) + "\n"


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
    for path, text in sections().items():
        (ROOT / path).write_text(text, encoding="utf-8")
