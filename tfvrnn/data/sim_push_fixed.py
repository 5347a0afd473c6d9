"""sim_push with one camera, light and table: `tfvrnn.data.sim_push` prepares it."""

from tfvrnn.data.sim_push import make_source

__all__ = ["make_source"]
