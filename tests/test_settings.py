"""Every setting of every section, families' and ranges' among them, says what it is."""

from __future__ import annotations

import re

import pytest
from pydantic import BaseModel

from eeg2fmri.config import FAMILIES, Config, Section, find_family
from eeg2fmri.config.explain import UNITS, Setting, all_settings, settings_of

SETTINGS = list(all_settings(FAMILIES))
OPEN = ("", "null", "[]", "{}", '"auto"')  # defaults that choose nothing


def faults(setting: Setting) -> list[str]:
    """What a setting does not say."""
    found = {
        "no description": len(setting.text) < 8,
        "no unit of UNITS": "number" in setting.range and setting.unit not in UNITS,
        "a unit without a number": "number" not in setting.range and setting.unit != "",
        "no source of its default": setting.default not in OPEN and not setting.source,
        "one legal value": setting.default == f'"{setting.range}"',
        "no full stop": not setting.text.endswith("."),
    }
    return [fault for fault, there in found.items() if there]


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.key)
def test_a_setting_says_what_it_is(setting):
    family = re.fullmatch(r"models\.\w+\.family", setting.key)  # it is what chooses the class
    assert faults(setting) == (["no source of its default", "one legal value"] if family else [])


def test_what_is_left_out_is_found():
    class Bad(Section):
        rate: float = 1.0
        word: str = "a"
        """A word without unit [Hz]. Source: ours."""

    assert [faults(setting) for setting in settings_of(Bad)] == [
        ["no description", "no unit of UNITS", "no source of its default", "no full stop"],
        ["a unit without a number"],
    ]


def test_every_section_is_reached():
    keys = {setting.key for setting in SETTINGS}
    assert {"data.cleaning.pulse", "search.ranges.linear.bands", "models.factorised.training.epochs"} <= keys
    assert len(keys) == len(SETTINGS)


def sections(kind: type[BaseModel]) -> set[type[BaseModel]]:
    """A class and all that derive from it."""
    return {kind}.union(*(sections(child) for child in kind.__subclasses__()))


def test_every_section_says_what_it_is_for():
    for name in FAMILIES:
        find_family(name)
    ours = [kind for kind in sections(Section) if kind.__module__.startswith("eeg2fmri.")]
    assert len(ours) > 15
    assert [kind.__name__ for kind in ours if not kind.__doc__] == []
    fields = [f"{kind.__name__}.{name}" for kind in ours for name, field in kind.model_fields.items()
              if not field.description]  # fmt: skip
    assert fields == []


def test_a_setting_in_words():
    found = {setting.key: setting for setting in settings_of(Config)}
    assert found["simulation.channels"] == Setting(
        "simulation.channels", "channels", "whole number at least 4 and at most 63", "63", "NODDI",
        "EEG channels, 10-05 names; an ECG is added.",
    )  # fmt: skip
    assert found["data.grid"].range == "3 × whole number | null"
    assert found["dataset.echo"].range == "whole number at least 1 | refuse | combine"
    assert found["dataset.entities"].range == "mapping to list of text"
    assert found["data.cleaning.sampling_rate"].range == "number above 0 | null"
