"""Export trained samplers as SavedModels, serve them, and call them.

The names below are imported when they are first used, as TensorFlow takes seconds to import.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tfvrnn.serving.export import export_model, export_sampler

__all__ = ["export_model", "export_sampler"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'tfvrnn.serving' has no attribute {name!r}")
    from tfvrnn.serving import export

    return getattr(export, name)
