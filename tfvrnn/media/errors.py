"""The one error of reading."""


class VideoError(ValueError):
    """A video that cannot be read, and why."""
