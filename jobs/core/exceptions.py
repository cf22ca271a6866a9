"""The errors of requests. `jobs.api.errors` maps each class to an HTTP status."""

from __future__ import annotations

from collections.abc import Mapping


class CronzimusError(Exception):
    """The request could not be fulfilled."""

    code = "ERROR"

    def __init__(self, message: str | None = None, *, fields: Mapping[str, str] | None = None) -> None:
        """Keep the message, and a message for each bad field by its name.

        Without `message`, the messages of the fields or the class's docstring are shown.
        """
        self.fields: dict[str, str] = dict(fields or {})
        super().__init__(message or _summary(self.fields) or type(self).__doc__)


class InvalidRequest(CronzimusError):
    """The request is not valid."""

    code = "INVALID_REQUEST"


class InvalidFunction(InvalidRequest):
    """The function is not registered."""

    code = "INVALID_FUNCTION"


class InvalidArguments(InvalidRequest):
    """The arguments do not fit the function's signature."""

    code = "INVALID_ARGUMENTS"


class InvalidTrigger(InvalidRequest):
    """The trigger is not valid."""

    code = "INVALID_TRIGGER"


class JobExists(CronzimusError):
    """A job with this id exists already."""

    code = "JOB_EXISTS"


class JobNotFound(CronzimusError, LookupError):
    """No job has this id."""

    code = "JOB_NOT_FOUND"


class PreconditionFailed(CronzimusError):
    """The resource has changed since you read it. GET it again."""

    code = "PRECONDITION_FAILED"


class VersionNotFound(CronzimusError, LookupError):
    """The job has no version with this number, or none any more."""

    code = "VERSION_NOT_FOUND"


class RunNotFound(CronzimusError, LookupError):
    """No run has this id."""

    code = "RUN_NOT_FOUND"


class BackfillNotFound(CronzimusError, LookupError):
    """No backfill has this id."""

    code = "BACKFILL_NOT_FOUND"


class RunActive(CronzimusError):
    """The run has not ended yet."""

    code = "RUN_ACTIVE"


class RunFinished(CronzimusError):
    """The run has ended already."""

    code = "RUN_FINISHED"


def _summary(fields: Mapping[str, str]) -> str:
    return "; ".join(f"{name}: {message}" for name, message in fields.items())
