"""The whole configuration: typed, frozen, read from YAML, overridable key by key.

An unknown key is an error that names the nearest valid one. `flatten` gives the fully resolved
configuration as dotted keys, which is what a run logs.
"""

from eeg2fmri.config.base import Section, Triple
from eeg2fmri.config.data import CleaningConfig, DataConfig, DatasetConfig, SimulationConfig, SplitConfig
from eeg2fmri.config.families import FAMILIES, family_path, find_family, variants
from eeg2fmri.config.load import flatten, load_config, parse, parse_overrides
from eeg2fmri.config.models import (
    CLINICAL_BANDS,
    FINE_BANDS,
    PUBLISHED_EEG,
    PUBLISHED_FMRI,
    VARIANTS,
    BlockSpec,
    BoldScaling,
    Calhas2022Config,
    EegScaling,
    FactorisedConfig,
    LinearConfig,
    Magnitudes,
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
    "CLINICAL_BANDS",
    "FAMILIES",
    "FINE_BANDS",
    "PUBLISHED_EEG",
    "PUBLISHED_FMRI",
    "VARIANTS",
    "BlockSpec",
    "BoldScaling",
    "Calhas2022Config",
    "CleaningConfig",
    "Config",
    "DataConfig",
    "DatasetConfig",
    "EegScaling",
    "EvaluationConfig",
    "FactorisedConfig",
    "LinearConfig",
    "Magnitudes",
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
    "family_path",
    "find_family",
    "flatten",
    "load_config",
    "parse",
    "parse_overrides",
    "variants",
]
