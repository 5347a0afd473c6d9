"""The error that reading a video raises."""


class VideoError(ValueError):
    """A video that cannot be read, and why."""
