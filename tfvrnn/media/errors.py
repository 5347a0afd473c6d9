"""The error that reading or writing a video raises."""


class VideoError(ValueError):
    """A video that cannot be read or written, and why."""
