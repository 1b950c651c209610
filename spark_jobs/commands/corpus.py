"""`corpus`: from WARC files to token tables."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
import yaml

from schemas.plumbing import exit_codes
from schemas.plumbing.command_line import run_command
from schemas.plumbing.configuration import load_config
from schemas.plumbing.errors import UsageError
from spark_jobs.commands import train
from spark_jobs.recipes import bundled

app = typer.Typer(
    help="Turn web crawls into curated, deduplicated, tokenised Delta tables.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

app.add_typer(train.app, name="train")

Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY.PATH=VALUE", help="Override a key of the configuration; may be repeated."),
]
LakePath = Annotated[str, typer.Option("--lake", metavar="DIR", help="Folder of the Delta tables: local, or s3a://...")]


@app.command()
def run(
    pipeline: Annotated[
        str, typer.Argument(help="A pipeline file, or the name of one that comes with Headwater.")
    ] = "english_web",
    lake: LakePath = "lake",
    warc: Annotated[str, typer.Option("--warc", metavar="GLOB", help="WARC or ARC files, compressed or not.")] = "",
    until: Annotated[str | None, typer.Option(metavar="STAGE", help="Stop after this stage.")] = None,
    settings: Settings = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Print the resolved configuration and what would be written, and write nothing."
        ),
    ] = False,
) -> int:
    """Run the pipeline: read, extract, score, deduplicate, select, tokenise. Finished stages are not run again."""
    from spark_jobs.lake.session import start_session
    from spark_jobs.pipeline import PipelineConfig, plan_lines, run_pipeline, stages_until

    config = load_config(PipelineConfig, pipeline_file(pipeline), tuple(settings or ()))
    stages_until(until)
    if not warc:
        raise UsageError("--warc GLOB is required: which WARC files are to be read?")
    if dry_run:
        print(yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True))
        print("\n".join(plan_lines(start_session(config.session), config, lake=lake, warc=warc)))
        return exit_codes.DONE
    summary = run_pipeline(start_session(config.session), config, lake=lake, warc=warc, until=until)
    if summary is not None:
        print("\n".join(summary.lines()))
    return exit_codes.DONE


@app.command()
def report(
    lake: LakePath = "lake",
    out: Annotated[Path, typer.Option(help="The HTML file to write.")] = Path("report.html"),
    crawl: Annotated[str | None, typer.Option(help="Only this crawl; all by default.")] = None,
    training: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Output folder of a training run, for its loss curve.")
    ] = None,
) -> int:
    """Write one self-contained HTML file: what came in, what was kept, and why the rest was not."""
    from spark_jobs.lake.session import SessionConfig, start_session
    from spark_jobs.report import write_report

    write_report(start_session(SessionConfig()), lake, out, crawl=crawl, training=training)
    print(f"report: {out}")
    return exit_codes.DONE


@app.command()
def explain(
    document: Annotated[str, typer.Argument(help="A doc_id or a URL.")],
    lake: LakePath = "lake",
) -> int:
    """Print one document's whole life: where it was read, what it scored, and what was decided."""
    from spark_jobs.ask.explain import explain_document
    from spark_jobs.lake.session import SessionConfig, start_session

    print(explain_document(start_session(SessionConfig()), lake, document))
    return exit_codes.DONE


@app.command("what-if")
def what_if(
    policies: Annotated[
        list[str] | None,
        typer.Argument(help="Two policies, by name or file; one alone is compared with the lake's own."),
    ] = None,
    lake: LakePath = "lake",
    crawl: Annotated[str | None, typer.Option(help="Only this crawl; all by default.")] = None,
    sample: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the documents to look at, chosen by doc_id: for huge lakes.")
    ] = 1.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
    percentiles: Annotated[
        str,
        typer.Option(
            metavar="LOW,HIGH",
            help="Print these percentiles of a signal by language instead, as `buckets` for a policy; such as 0.3,0.6.",
        ),
    ] = "",
    signal: Annotated[str, typer.Option(help="The signal whose percentiles are printed.")] = "perplexity.value",
) -> int:
    """Say what another policy would keep: documents, words and tokens, by language, domain and rule. Reads numbers
    only and writes nothing."""
    import json
    from dataclasses import asdict

    from spark_jobs.ask.what_if import bucket_limits, compare, parse_percentiles, policy_of_lake
    from spark_jobs.ask.what_if_text import bucket_limits_yaml, comparison_text
    from spark_jobs.lake.columns import LakeColumns
    from spark_jobs.stages.decide.load_policy import resolve_policy

    chosen = [resolve_policy(policy) for policy in policies or ()]
    columns = LakeColumns(lake, crawl, sample)
    if percentiles:
        if len(chosen) > 1:
            raise UsageError(
                "--percentiles takes one policy, over whose documents they are, or none for all documents with text"
            )
        found = bucket_limits(columns, signal, parse_percentiles(percentiles), *(chosen or [None]))
        print(json.dumps([asdict(one) for one in found]) if as_json else bucket_limits_yaml(signal, percentiles, found))
        return exit_codes.DONE
    if len(chosen) not in (1, 2):
        raise UsageError("corpus what-if takes one or two policies")
    if len(chosen) == 1:
        own, lost = policy_of_lake(columns)
        chosen = [own, *chosen]
        if lost:
            print(f"the policy of the lake is read without {', '.join(lost)}", file=sys.stderr)
    comparison = compare(columns, *chosen)
    print(json.dumps(asdict(comparison)) if as_json else comparison_text(comparison))
    return exit_codes.DONE


@app.command()
def fetch(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the WARC files.")],
    url: Annotated[
        list[str] | None,
        typer.Argument(help="Where to start; without any, the documentation of the installed Python packages."),
    ] = None,
    name: Annotated[str, typer.Option(help="First part of the WARC files' names.")] = "pages",
    max_pages: Annotated[int | None, typer.Option(help="Stop after this many responses.")] = None,
    settings: Settings = None,
) -> int:
    """Crawl the pages of one or more hosts over HTTP into WARC/1.1 files."""
    from spark_jobs.fetch.pages import pages as fetching

    config = load_config(
        fetching.FetchConfig, None, (*(settings or ()), *([f"max_pages={max_pages}"] if max_pages else []))
    )
    summary = (
        fetching.crawl(url, out, name=name, config=config)
        if url
        else fetching.crawl_package_docs(out, name=name, max_pages=max_pages)
    )
    print("\n".join(summary.lines()))
    return exit_codes.DONE


@app.command()
def recall(
    bands: Annotated[int, typer.Option(min=1, help="Number of bands.")] = 14,
    rows: Annotated[int, typer.Option(min=1, help="MinHash values in a band.")] = 8,
) -> int:
    """Print how likely two documents of a given similarity become a candidate pair."""
    from spark_jobs.ask.recall import recall_table

    print(recall_table(bands, rows))
    return exit_codes.DONE


@app.command()
def doctor() -> int:
    """Check Java, Spark, Delta and the models, and say what is missing."""
    from spark_jobs.ask.doctor import examine

    findings = examine()
    for finding in findings:
        print(f"{'ok  ' if finding.well else 'FAIL'} {finding.subject}: {finding.detail}")
    return exit_codes.DONE if all(finding.well for finding in findings) else exit_codes.FAILED


@app.command()
def schema(
    out: Annotated[Path, typer.Option(help="Where to write the JSON Schema.")] = Path("pipeline.schema.json"),
) -> int:
    """Write the JSON Schema of pipeline files, for completion in editors."""
    import json

    from spark_jobs.pipeline import PipelineConfig

    out.write_text(json.dumps(PipelineConfig.model_json_schema(), indent=2) + "\n", encoding="utf-8")
    print(out)
    return exit_codes.DONE


def pipeline_file(name: str) -> Path:
    """A bundled pipeline by name, or the file at that path."""
    pipelines = bundled("pipeline")
    if name in pipelines:
        return pipelines[name]
    if not Path(name).is_file():
        raise UsageError(f"{name}: neither a file nor a pipeline that comes with Headwater ({', '.join(pipelines)})")
    return Path(name)


def main() -> None:
    sys.exit(run_command(app, "corpus"))
