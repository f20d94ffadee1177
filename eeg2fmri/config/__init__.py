"""The whole configuration: typed, frozen, read from YAML, overridable key by key.

An unknown key is an error that names the nearest valid one. `flatten` gives the fully resolved
configuration as dotted keys, which is what a run logs.
"""

from eeg2fmri.config.bands import BAND_SETS, CLINICAL_BANDS, FINE_BANDS
from eeg2fmri.config.base import Section, Triple
from eeg2fmri.config.calhas2022 import (
    PUBLISHED_EEG,
    PUBLISHED_FMRI,
    VARIANTS,
    BlockSpec,
    BoldScaling,
    Calhas2022Config,
    Calhas2022Ranges,
    EegScaling,
    TrainingConfig,
)
from eeg2fmri.config.classify import ClassifyConfig
from eeg2fmri.config.data import (
    CleaningConfig,
    CrossvalConfig,
    DataConfig,
    DatasetConfig,
    GroupsConfig,
    SimulationConfig,
    SplitConfig,
)
from eeg2fmri.config.explain import Setting, all_settings, settings_of
from eeg2fmri.config.factorised import FactorisedConfig, FactorisedRanges, RecordingTraining
from eeg2fmri.config.families import FAMILIES, family_path, find_family, variants
from eeg2fmri.config.linear import LinearConfig, LinearRanges
from eeg2fmri.config.load import flatten, load_config, parse, parse_overrides
from eeg2fmri.config.mean import MeanConfig
from eeg2fmri.config.model import Magnitudes, ModelConfig
from eeg2fmri.config.sections import (
    BASELINES,
    Config,
    EvaluationConfig,
    ExplanationConfig,
    PolicyConfig,
    RegistryConfig,
    RunConfig,
    SearchConfig,
    ServingConfig,
)

__all__ = [
    "BAND_SETS",
    "BASELINES",
    "CLINICAL_BANDS",
    "FAMILIES",
    "FINE_BANDS",
    "PUBLISHED_EEG",
    "PUBLISHED_FMRI",
    "VARIANTS",
    "BlockSpec",
    "BoldScaling",
    "Calhas2022Config",
    "Calhas2022Ranges",
    "ClassifyConfig",
    "CleaningConfig",
    "Config",
    "CrossvalConfig",
    "DataConfig",
    "DatasetConfig",
    "EegScaling",
    "EvaluationConfig",
    "ExplanationConfig",
    "FactorisedConfig",
    "FactorisedRanges",
    "GroupsConfig",
    "LinearConfig",
    "LinearRanges",
    "Magnitudes",
    "MeanConfig",
    "ModelConfig",
    "PolicyConfig",
    "RecordingTraining",
    "RegistryConfig",
    "RunConfig",
    "SearchConfig",
    "Section",
    "ServingConfig",
    "Setting",
    "SimulationConfig",
    "SplitConfig",
    "TrainingConfig",
    "Triple",
    "all_settings",
    "family_path",
    "find_family",
    "flatten",
    "load_config",
    "parse",
    "parse_overrides",
    "settings_of",
    "variants",
]
