"""Errors that a person can act on: each is one line and carries the exit code of the command that it ends."""

import difflib
from collections.abc import Iterable

from schemas.plumbing import exit_codes


class HeadwaterError(Exception):
    """Ends a command with its message as one line on standard error."""

    exit_code = exit_codes.FAILED


class UsageError(HeadwaterError):
    """The request cannot be carried out as it was put; the message says what to change."""

    exit_code = exit_codes.USAGE


class ContractError(HeadwaterError):
    """Data do not have the shape or the values that their contract promises."""

    exit_code = exit_codes.CONTRACT_BROKEN


class NothingToDo(HeadwaterError):
    """All went well, but there is nothing to go on with."""

    exit_code = exit_codes.NOTHING_TO_DO


class DecisionNeeded(HeadwaterError):
    """A run has done what it may do by itself; a person has to say how it goes on."""

    exit_code = exit_codes.DECISION_NEEDED


def near_names(name: str, known: Iterable[str]) -> str:
    """` (perhaps a or b)` for the known names that are most like one that is not known, to end a message with; empty
    where none is."""
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    return f" (perhaps {' or '.join(near)})" if near else ""
