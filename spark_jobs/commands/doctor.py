"""`corpus doctor`: is what Spark and the models need there."""

from __future__ import annotations

from schemas.plumbing import exit_codes


def doctor() -> int:
    """Check Java, Spark, Delta and the models, and say what is missing."""
    from spark_jobs.ask.doctor import examine

    findings = examine()
    for finding in findings:
        print(f"{'ok  ' if finding.well else 'FAIL'} {finding.subject}: {finding.detail}")
    return exit_codes.DONE if all(finding.well for finding in findings) else exit_codes.FAILED
