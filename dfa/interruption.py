"""How a run that was asked to stop ends."""


class Interrupted(Exception):  # noqa: N818 - stopping on request is no error
    """The run was asked to stop; its checkpoint is written."""
