"""Model families by name, and the settings of a section of `models`.

This package's families have short names; another one's is the path of an object, ``package.module:OBJECT``. Neither
is imported before a configuration asks for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import Annotated, Any, get_args

from pydantic import PlainValidator, SerializeAsAny, ValidationError

from eeg2fmri.config.base import Section
from eeg2fmri.config.model import ModelConfig
from eeg2fmri.errors import ConfigError, nearest

FAMILIES = {
    "calhas2022": "eeg2fmri.families.calhas2022:FAMILY",
    "factorised": "eeg2fmri.families.factorised:FAMILY",
    "linear": "eeg2fmri.families.linear:FAMILY",
    "mean": "eeg2fmri.families.mean:FAMILY",
}
PROMISED = ("variant", "eeg_scaling", "bold_scaling")  # of every class of settings, as settings or class attributes


def family_path(name: str) -> str:
    """Return the path of the family called `name`, ``package.module:OBJECT``."""
    return FAMILIES.get(name, name)


def find_family(name: Any) -> Any:
    """Import the family called `name`: an `eeg2fmri.families.Family`, which is above this floor.

    Raises
    ------
    ConfigError
        If the name is not known, or there is no family at the path.
    """
    module, colon, attribute = family_path(str(name)).partition(":")
    if not colon:
        raise ConfigError(
            f"family {name!r} is not known; expected {', '.join(FAMILIES)} or package.module:OBJECT"
            f"{nearest(str(name), FAMILIES)}"
        )
    try:
        found = getattr(import_module(module), attribute)
    except Exception as err:  # importing runs code that is not ours
        what = " ".join(f"{type(err).__name__}: {err}".split())[:200]
        raise ConfigError(f"family {name!r} cannot be imported ({what}); put its folder on PYTHONPATH") from err
    settings = getattr(found, "config", None)
    if not (isinstance(settings, type) and issubclass(settings, ModelConfig)):
        raise ConfigError(
            f"family {name!r}: its `config` is {settings!r:.60}; expected a subclass of eeg2fmri.config.ModelConfig"
        )
    if missing := [word for word in PROMISED if word not in settings.model_fields and not hasattr(settings, word)]:
        raise ConfigError(
            f"family {name!r}: {settings.__name__} lacks {', '.join(missing)}; make it a setting or a class attribute"
        )
    return found


def variants(settings: type[ModelConfig]) -> tuple[str, ...]:
    """List the variants that a family's settings may name."""
    field = settings.model_fields.get("variant")
    return get_args(field.annotation) if field else (str(settings.variant),)


def model_called(variant: str, listed: Iterable[ModelConfig]) -> ModelConfig:
    """Return the listed model of that variant, else a listed one with this variant, else a family's default.

    Raises
    ------
    ConfigError
        If no family has the variant.
    """
    listed = list(listed)
    for model in listed:
        if model.variant == variant:
            return model
    others = [find_family(name).config(family=name) for name in FAMILIES]
    for model in (*listed, *others):
        if variant in variants(type(model)):
            same = model.variant == variant
            return model if same else type(model).model_validate({**model.model_dump(), "variant": variant})
    known = list(dict.fromkeys(name for model in (*listed, *others) for name in variants(type(model))))
    raise ConfigError(f"variant {variant!r} is not known; expected one of {', '.join(known)}{nearest(variant, known)}")


def _model(section: Any) -> ModelConfig:
    if isinstance(section, ModelConfig):
        return section
    if not isinstance(section, Mapping) or "family" not in section:
        raise ValueError(f"a model names its family, one of {', '.join(FAMILIES)} or package.module:OBJECT")
    settings: type[ModelConfig] = find_family(section["family"]).config
    return settings.model_validate(section)


AnyModel = Annotated[SerializeAsAny[ModelConfig], PlainValidator(_model)]


def _ranges(sections: Any) -> dict[str, Section]:
    """Read the ranges of a search by family; a fault names its family."""
    if not isinstance(sections, Mapping):
        raise ValueError("must give ranges by family, e.g. {linear: {components: [16, 32]}}")
    found = {}
    for name, given in sections.items():
        kind: type[Section] | None = find_family(name).ranges
        if kind is None:
            raise ValueError(f"family {name!r} has no search; remove its ranges")
        try:
            found[str(name)] = kind.model_validate(given)
        except ValidationError as err:
            faults: Any = [{**fault, "loc": (str(name), *fault["loc"])} for fault in err.errors(include_url=False)]
            raise ValidationError.from_exception_data(kind.__name__, faults) from err
    return found


AnyRanges = Annotated[dict[str, SerializeAsAny[Section]], PlainValidator(_ranges)]
