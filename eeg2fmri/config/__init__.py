"""The whole configuration: typed, frozen, read from YAML, overridable key by key.

An unknown key is an error that names the nearest valid one. `flatten` gives the fully resolved
configuration as dotted keys, which is what a run logs.
"""

from eeg2fmri.config.base import Section, Triple
from eeg2fmri.config.data import CleaningConfig, DataConfig, DatasetConfig, SimulationConfig, SplitConfig
from eeg2fmri.config.load import flatten, load_config, parse, parse_overrides
from eeg2fmri.config.models import (
    PUBLISHED_EEG,
    PUBLISHED_FMRI,
    VARIANTS,
    BlockSpec,
    Calhas2022Config,
    FactorisedConfig,
    LinearConfig,
    MeanConfig,
    ModelConfig,
    RecordingTraining,
    TrainingConfig,
)
from eeg2fmri.config.sections import (
    Config,
    EvaluationConfig,
    RegistryConfig,
    RunConfig,
    SearchConfig,
)

__all__ = [
    "PUBLISHED_EEG",
    "PUBLISHED_FMRI",
    "VARIANTS",
    "BlockSpec",
    "Calhas2022Config",
    "CleaningConfig",
    "Config",
    "DataConfig",
    "DatasetConfig",
    "EvaluationConfig",
    "FactorisedConfig",
    "LinearConfig",
    "MeanConfig",
    "ModelConfig",
    "RecordingTraining",
    "RegistryConfig",
    "RunConfig",
    "SearchConfig",
    "Section",
    "SimulationConfig",
    "SplitConfig",
    "TrainingConfig",
    "Triple",
    "flatten",
    "load_config",
    "parse",
    "parse_overrides",
]
