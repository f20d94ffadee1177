"""The verb `config`: the resolved configuration, and the explanation of every setting."""

from __future__ import annotations

import json

import yaml

from eeg2fmri.config import FAMILIES, Config, all_settings, flatten


def resolved(config: Config) -> str:
    """Return the whole configuration as YAML, which `load_config` reads as the same one."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def explained(config: Config) -> str:
    """Explain every setting: key and value, then meaning, unit, range, default and source.

    Settings of models and of ranges of a search are listed by family, those of this package and of `config`.
    """
    values = flatten(config)
    families = dict.fromkeys([*FAMILIES, *(model.family for model in config.models)])
    lines = []
    for setting in all_settings(families):
        found = f" = {json.dumps(values[setting.key], ensure_ascii=False)}" if setting.key in values else ""
        unit = f" [{setting.unit}]" if setting.unit not in ("", "-") else ""
        parts = [f"{setting.range}{unit}", f"default: {setting.default or 'must be given'}"]
        parts += [f"source: {setting.source}"] if setting.source else []
        lines += [f"{setting.key}{found}", f"    {setting.text}", f"    {'; '.join(parts)}"]
    return "\n".join(lines) + "\n"
