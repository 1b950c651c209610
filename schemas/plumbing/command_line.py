"""Run a command: errors that a person can act on end it with one line and their exit code; any other is a fault and
keeps its traceback."""

from __future__ import annotations

import sys

import typer

from schemas.plumbing import exit_codes
from schemas.plumbing.errors import HeadwaterError
from schemas.plumbing.logs import configure_logs


def run_command(app: typer.Typer, program: str, arguments: list[str] | None = None) -> int:
    """Run the typer application on `arguments`, those of the process by default, and return its exit code."""
    configure_logs()
    command = typer.main.get_command(app)
    try:
        result = command.main(args=arguments, prog_name=program, standalone_mode=False)
    except HeadwaterError as error:
        print(f"{program}: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print(f"{program}: interrupted; the same command goes on where this one stopped", file=sys.stderr)
        return exit_codes.RUN_AGAIN
    except Exception as error:
        # Typer brings a copy of click of its own in some releases, so the class is told by what it can do.
        if not hasattr(error, "format_message"):
            raise
        print(f"{program}: {error.format_message()} (see {program} --help)", file=sys.stderr)
        return exit_codes.USAGE
    return result if isinstance(result, int) else exit_codes.DONE
