"""The model card: description of a model, its data, and its limits."""

from __future__ import annotations

from collections.abc import Sequence

from eeg2fmri.families import FitResult
from eeg2fmri.serving import Bundle


def _validation(subjects: Sequence[str], refitted: bool) -> str:
    return ", ".join(subjects) + (" (their scores are older than the refit with them)" if refitted else "")


def data_sheet(bundle: Bundle) -> list[tuple[str, str]]:
    """Return names and values of a model's input, output and data."""
    config, signal, provenance = bundle.model.config, bundle.signal, bundle.provenance
    channels, frequencies, context = bundle.window_shape
    refitted = not provenance["recordings"]["validation"]  # none was held out of the last fit
    return [
        ("family, variant", f"{config.family}, {config.variant}"),
        ("EEG window", f"{channels} channels × {frequencies} frequencies × {context} TRs"),
        ("frequencies", f"{signal.frequencies[0]:.3g} to {signal.frequencies[-1]:.3g} Hz"),
        ("volume", f"{' × '.join(map(str, signal.grid))}, TR {signal.tr:g} s"),
        ("BOLD scaling", f"{config.bold_scaling}, undone on output with training statistics"),
        ("training subjects", ", ".join(provenance["subjects"]["train"])),
        ("validation subjects", _validation(provenance["subjects"]["validation"], refitted)),
    ]


def model_card(bundle: Bundle, result: FitResult) -> str:
    """Write the Markdown card of a trained model; `evaluate` adds test scores to its run."""
    config, signal, context = bundle.model.config, bundle.signal, bundle.window_shape[2]
    rows = [
        *data_sheet(bundle),
        ("data digest", bundle.provenance["data_digest"]),
        *((key, str(value)) for key, value in result.facts.items()),
        ("best validation r2_temporal", f"{result.history['val/r2_temporal'][result.best_epoch]:.4f}"),
    ]
    table = "\n".join(f"| {name} | {value} |" for name, value in rows)
    return f"""# {config.variant}

Synthesises the BOLD volume of one TR from the EEG of the {context} TRs before it.

| | |
|---|---|
{table}

**Limits.** The model reads only EEG: its anatomy is that of the training subjects, in the space
`{signal.space}` (in `native` space, subjects are not registered to each other). The score that counts is
`r2_temporal` on unseen subjects, compared with its nulls (metrics `test/…` of the training run), not the
look of a volume.
Research use only; not for diagnosis.
"""
