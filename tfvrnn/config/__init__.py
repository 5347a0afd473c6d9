"""Every option of the project: its type, default, help and check.

These frozen dataclasses are the only declaration of an option. Flags and flagfiles derive from
them (see config_flags.py). A field's metadata has the flag's help, `help`, and the allowed values,
`choices`. These modules import only the standard library.
"""

from tfvrnn.config.measure import MeasureConfig
from tfvrnn.config.model import MINIMUM_GROUP, ModelConfig
from tfvrnn.config.options import (
    UserError,
    check_fields,
    check_name,
    expanded,
    option,
    require,
    require_at_least,
)
from tfvrnn.config.run import (
    DATASETS,
    EXPORT_MAX_BATCH,
    EXPORT_SAMPLES,
    SIM_PUSH_SCENES,
    TEMPERATURE,
    Config,
    DataConfig,
    EvalConfig,
    TrainConfig,
)

__all__ = [
    "DATASETS",
    "EXPORT_MAX_BATCH",
    "EXPORT_SAMPLES",
    "MINIMUM_GROUP",
    "SIM_PUSH_SCENES",
    "TEMPERATURE",
    "Config",
    "DataConfig",
    "EvalConfig",
    "MeasureConfig",
    "ModelConfig",
    "TrainConfig",
    "UserError",
    "check_fields",
    "check_name",
    "expanded",
    "option",
    "require",
    "require_at_least",
]
