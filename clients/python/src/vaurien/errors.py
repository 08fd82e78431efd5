"""What can go wrong."""

from __future__ import annotations


class VaurienError(Exception):
    """The base of all errors of this package."""


class StartError(VaurienError):
    """The program did not start.

    `stderr` is what it wrote to standard error: a mistake on each line, each with what would be right.
    """

    def __init__(self, message: str, stderr: str = "") -> None:
        super().__init__(f"{message}\n{stderr.strip()}".strip())
        self.stderr = stderr


class ApiError(VaurienError):
    """The HTTP API refused a request, in its own words.

    `status` is the status of the response: 400 for a mistake, 404 for a name that does not exist, 409 for one that does.
    """

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class VaurienWarning(UserWarning):
    """Chaos that did nothing: a rule that matched no call, a handler or a toxic that injected no fault."""


class ExpectationError(VaurienError, AssertionError):
    """The chaos that was asked for did not take place. A test that meets this error fails."""
