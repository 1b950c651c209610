"""`pretrain quarantine`: the documents behind an incident go to the lake's `suspects`, if a replay has found the
data at fault."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from schemas.plumbing.errors import NothingToDo, UsageError
from schemas.tables.incidents import SUSPECTS
from training.lake_tables import append_rows
from training.settings.watching import SpikeConfig
from training.spikes.fault import DocumentReplay, suspects
from training.spikes.incidents import read_incidents
from training.watching.metrics import whole_lines

REPLAYS = "replays.jsonl"


def find_incident(out: Path, number: int) -> dict[str, Any]:
    """Incident `number` of a run, from 1, in the order of incidents.jsonl."""
    found = read_incidents(out)
    if not 1 <= number <= len(found):
        raise UsageError(f"--incident: {out} has {len(found)} incident(s), not one of number {number}")
    return found[number - 1]


def quarantine(out: Path, lake: str, number: int, config: SpikeConfig, *, force: bool) -> list[str]:
    """Write the suspects of an incident; returns their doc_ids. `UsageError` where no replay says that the data are
    at fault, unless forced."""
    incident = find_incident(out, number)
    replays = [line for line in map(json.loads, whole_lines(out / REPLAYS)) if line["batch"] == incident["batch"]]
    if not replays:
        raise UsageError(
            f"incident {number}: batch {incident['batch']} was not replayed; run pretrain replay {out} --incident "
            f"{number} first"
        )
    last = replays[-1]
    if last["verdict"] != "data fault" and not force:
        raise UsageError(
            f"incident {number}: its replay says {last['verdict']}, which is no reason to hold documents responsible; "
            f"--force does so anyway"
        )
    documents = [
        DocumentReplay(**{**document, **{key: tuple(document[key]) for key in ("losses", "usual", "deviations")}})
        for document in last["documents"]
    ]
    chosen = suspects(documents, config, forced=force)
    if not chosen:
        raise NothingToDo(f"incident {number}: no document of batch {incident['batch']} deviates by itself")
    append_rows(lake, SUSPECTS, [_row(document, incident, last["verdict"]) for document in chosen])
    return [document.doc_id for document in chosen]


def _row(document: DocumentReplay, incident: dict[str, Any], verdict: str) -> dict[str, Any]:
    least = min(range(len(document.deviations)), key=lambda place: document.deviations[place])
    return {
        "doc_id": document.doc_id,
        "source": document.source,
        "incident_id": incident["incident_id"],
        "run": incident["run"],
        "time": datetime.now(UTC),
        "verdict": "data fault" if verdict == "data fault" else "forced",
        "loss": document.losses[least],
        "usual_loss": document.usual[least],
        "deviations": document.deviations[least],
        "repetitions": document.repetitions,
    }
