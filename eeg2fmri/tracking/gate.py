"""The promotion gate: from the evidence of a version and a policy to an argument, criterion by criterion."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from eeg2fmri.config import PolicyConfig
from eeg2fmri.evaluation import p_text
from eeg2fmri.scoring import NO_NULLS


@dataclass(frozen=True)
class Evidence:
    """Scores of a version on test subjects.

    Attributes
    ----------
    version : of the registered model.
    overall : score by condition; the mean over subjects.
    p_value : chance that shuffled EEG gives this `r2_temporal`.
    smallest_p : the least that this test set can give.
    subjects : test subjects.
    data_digest : of the test recordings.
    scoring : key of the code and settings of the evaluation.
    space : key of the data space: channels, frequencies, grid and TR. Scores of two spaces do not compare.
    """

    version: str
    overall: Mapping[str, Mapping[str, float]]
    p_value: float
    smallest_p: float
    subjects: int
    data_digest: str
    scoring: str
    space: str

    def score(self, metric: str, condition: str = "model") -> float:
        """Return the score under a condition; NaN if it was not computed."""
        return float(self.overall.get(condition, {}).get(metric, float("nan")))

    def comparable(self, other: Evidence) -> bool:
        """Return whether both were scored on the same data in the same way."""
        return (self.data_digest, self.scoring) == (other.data_digest, other.scoring)

    def to_json(self) -> str:
        """Return text for `from_json`, with numbers to the bit."""
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str) -> Evidence:
        """Read the evidence from the text of `to_json`."""
        return Evidence(**json.loads(text))


@dataclass(frozen=True)
class Criterion:
    """One step of the argument. `reason` explains in words why it does not hold."""

    name: str
    found: str
    needed: str
    holds: bool
    reason: str


@dataclass(frozen=True)
class Argument:
    """Criteria that concern the nulls, and those that concern the present champion."""

    nulls: tuple[Criterion, ...]
    champion: tuple[Criterion, ...]

    @property
    def beats_nulls(self) -> bool:
        """True if the version may be champion when no better one exists."""
        return all(criterion.holds for criterion in self.nulls)

    @property
    def passes(self) -> bool:
        """True if the version becomes champion."""
        return not self.reasons

    @property
    def reasons(self) -> list[str]:
        """Why it does not pass."""
        return [criterion.reason for criterion in (*self.nulls, *self.champion) if not criterion.holds]

    @property
    def verdict(self) -> str:
        """The verdict: ``passed``, ``challenger`` (better than its nulls, not than the champion) or ``refused``."""
        return "passed" if self.passes else "challenger" if self.beats_nulls else "refused"


def argue(policy: PolicyConfig, candidate: Evidence, champion: Evidence | None = None) -> Argument:
    """Weigh the evidence of a version by a policy.

    Parameters
    ----------
    policy : metric, nulls, margin, level and least number of test subjects.
    candidate : evidence of the version.
    champion : evidence of the present champion, if there is one.

    Returns
    -------
    The argument. The champion is compared only within a data space: one with other channels or another grid
    does not prevent a promotion.
    """
    return Argument(_against_nulls(policy, candidate), _against_champion(policy, candidate, champion))


def _against_nulls(policy: PolicyConfig, candidate: Evidence) -> tuple[Criterion, ...]:
    nulls = policy.nulls
    if nulls is None:
        nulls = tuple(name for name in candidate.overall if name not in NO_NULLS)
    enough = candidate.subjects >= policy.subjects
    few = f"{candidate.subjects} test subject{'s' * (candidate.subjects != 1)}, the policy needs {policy.subjects}"
    p_value, level = candidate.p_value, policy.level
    chance = (
        f"r2_temporal {candidate.score('r2_temporal'):.4f} is no more than shuffled EEG scores by chance "
        f"({p_text(p_value, candidate.smallest_p)}; below {level:g} is needed)"
    )
    return (
        Criterion("test subjects", str(candidate.subjects), f"at least {policy.subjects}", enough, few),
        *(_beside(null, policy, candidate) for null in nulls),
        Criterion("p of r2_temporal", f"{p_value:.4f}", f"below {level:g}", p_value < level, chance),
    )


def _beside(null: str, policy: PolicyConfig, candidate: Evidence) -> Criterion:
    metric, words = policy.metric, null.replace("_", " ")
    name = f"{metric} beside {words}"
    score, other = candidate.score(metric), candidate.score(metric, null)
    if null not in candidate.overall:
        return Criterion(name, "not scored", "a score", False, f"{words} was not scored, the policy needs it")
    needed = f"above {other + policy.margin:.4f}"
    reason = f"{metric} {score:.4f} is not {needed}, the score of {words}"
    if policy.margin:
        reason += f" ({other:.4f}) and a margin of {policy.margin:g}"
    return Criterion(name, f"{score:.4f}", needed, score > other + policy.margin, reason)


def _against_champion(policy: PolicyConfig, candidate: Evidence, champion: Evidence | None) -> tuple[Criterion, ...]:
    if champion is None or champion.version == candidate.version:
        return ()
    name = f"the champion, version {champion.version}"
    if champion.space != candidate.space:
        return (Criterion(name, "another data space", "not compared", True, ""),)
    if champion.data_digest != candidate.data_digest:
        reason = (
            f"{name}, was scored on other data ({champion.data_digest[:12]}, this one on "
            f"{candidate.data_digest[:12]}); evaluate models:/…/{champion.version} on the same store first"
        )
        return (Criterion(name, "scored on other data", "the same data", False, reason),)
    if champion.scoring != candidate.scoring:
        reason = (
            f"{name}, was scored with other code or settings of the evaluation; "
            f"evaluate models:/…/{champion.version} again first"
        )
        return (Criterion(name, "scored in another way", "the same way", False, reason),)
    score, best = candidate.score(policy.metric), champion.score(policy.metric)
    reason = f"{policy.metric} {score:.4f} is below {best:.4f}, that of {name}, on the same data"
    return (Criterion(name, f"{score:.4f}", f"at least {best:.4f}", score >= best, reason),)
