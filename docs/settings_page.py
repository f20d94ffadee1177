"""The page of all settings, made of the classes that declare them."""

from itertools import groupby

from eeg2fmri.config import FAMILIES, Setting, all_settings

INTRODUCTION = """# Settings

Every key of a configuration file. Change one in the file, or with `--set 'key=value; other.key=value'`.
`eeg2fmri config --explain` prints the same list beside your values. A key that starts with `models.NAME` or
`search.ranges.NAME` belongs to the model family NAME. In a file,
`models` is a list: `models.0.training.epochs` reaches into it.
"""


def settings_page() -> str:
    """Give the page as Markdown: a section for each part of the configuration, a paragraph for each setting."""
    parts = [INTRODUCTION]
    for title, settings in groupby(all_settings(FAMILIES), _section):
        parts += [f"## {title}\n", *map(_entry, settings)]
    return "\n".join(parts)


def _section(setting: Setting) -> str:
    """Name the section: the first part of the key, with the family of a model or of a search."""
    words = setting.key.split(".")
    if words[0] == "models":
        return f"models: {words[1]}"
    return ".".join(words[:3]) if words[:2] == ["search", "ranges"] else words[0]


def _entry(setting: Setting) -> str:
    unit = f" [{setting.unit}]" if setting.unit not in ("", "-") else ""
    facts = [f"{setting.range}{unit}", f"default: `{setting.default}`" if setting.default else "must be given"]
    facts += [f"source: {setting.source}"] if setting.source else []
    text = "; ".join(facts).replace("|", "or")
    return f"`{setting.key}`\n: {setting.text}\n\n  {text}\n"
