"""Errors of the command line: one line on stderr and an exit status, never a traceback for the user's own input."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable

import typer

from dfa.interruption import Interrupted
from opu_sim.errors import ConfigError, DeviceError, DeviceWarning

# Some versions of typer carry click within them, others depend on it; this is the base of usage errors in both.
_UsageError: type[Exception] = next(
    kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException" and issubclass(kind, Exception)
)


class HostError(Exception):
    """What neither the user's input nor the program is to blame for: a full disk. One line, exit status 1."""


def exit_status(command: Callable[[], object]) -> int:
    """Run a command: 0 done, 2 wrong input, 130 interrupted; a fault of the program keeps its traceback and is 1.

    A `HostError` is 1, too, in one line.

    What a device warns of is one line on stderr, too.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always", DeviceWarning)
            usual = warnings.showwarning
            warnings.showwarning = lambda message, category, *where: (
                _say(f"warning: {message}") if issubclass(category, DeviceWarning) else usual(message, category, *where)
            )
            outcome = command()
    except typer.Exit as stop:
        return stop.exit_code
    except (KeyboardInterrupt, typer.Abort):
        return _fail("interrupted", 130)
    except _UsageError as error:
        if type(error).__name__ == "NoArgsIsHelpError":  # `opu device`: the help has been printed
            return 2
        return _fail(error.format_message(), 2)  # type: ignore[attr-defined]
    except (ConfigError, DeviceError) as error:
        return _fail(str(error), 2)
    except HostError as error:
        return _fail(str(error), 1)
    except Interrupted:
        return _fail("interrupted; the state is saved, go on with --resume", 130)
    return outcome if isinstance(outcome, int) else 0


def _fail(message: str, status: int) -> int:
    _say(message)
    return status


def _say(message: str) -> None:
    sys.stderr.write(f"opu: {' '.join(message.split())}\n")
