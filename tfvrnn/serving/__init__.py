"""Export trained samplers as SavedModels, serve them, and call them."""

from tfvrnn.serving.export import export_model, export_sampler

__all__ = ["export_model", "export_sampler"]
