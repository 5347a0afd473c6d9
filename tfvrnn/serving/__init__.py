"""A trained sampler for others: SavedModels, and what serves and asks for them."""

from tfvrnn.serving.export import export_model, export_sampler

__all__ = ["export_model", "export_sampler"]
