"""Settings of the Python interface, as every function of it takes them."""

from __future__ import annotations

from pathlib import Path

from eeg2fmri.config import Config, load_config

Settings = Config | Path | str | None


def config_of(given: Settings) -> Config:
    """Return the configuration, or read its file, or take the defaults."""
    return given if isinstance(given, Config) else load_config(given)


def changed(config: Config, section: str, **values: Path | str | None) -> Config:
    """Replace settings of a section, unless they are ``None``."""
    given = {key: str(value) for key, value in values.items() if value is not None}
    return config.model_copy(update={section: getattr(config, section).model_copy(update=given)})
