"""`corpus what-if`: what another policy would keep, in seconds and without writing."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import Annotated

import typer

from schemas.plumbing import exit_codes
from schemas.plumbing.errors import UsageError
from spark_jobs.commands.options import LakePath


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
