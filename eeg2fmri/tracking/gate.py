"""The promotion gate: numbers in, reasons against out."""

from __future__ import annotations

from dataclasses import dataclass

SIGNIFICANCE = 0.05


@dataclass(frozen=True)
class Scores:
    """`r2_temporal` of a version on the test recordings with this digest.

    shuffled: its mean with shuffled EEG.  p_value: chance of scoring this much with shuffled EEG.
    scoring: key of the code and settings that computed them.
    """

    version: str
    r2_temporal: float
    shuffled: float
    p_value: float
    data_digest: str
    scoring: str


def check_gate(candidate: Scores, champion: Scores | None) -> list[str]:
    """Reasons why `candidate` may not become champion; an empty list lets it pass.

    The mean volume scores exactly 0; the shuffled control is the same model fed EEG of the wrong
    time, which it must beat by more than chance; a champion must not be better on the same data.
    """
    reasons = []
    score = candidate.r2_temporal
    if not score > 0:
        reasons.append(f"r2_temporal {score:.4f} is not above 0, the mean volume's score")
    if not score > candidate.shuffled:
        reasons.append(f"r2_temporal {score:.4f} is not above {candidate.shuffled:.4f}, its own with shuffled EEG")
    elif not candidate.p_value < SIGNIFICANCE:
        reasons.append(
            f"r2_temporal {score:.4f} is no more than shuffled EEG scores by chance "
            f"(p = {candidate.p_value:.3f}, below {SIGNIFICANCE} is needed)"
        )
    if champion and champion.version != candidate.version:
        if champion.data_digest != candidate.data_digest:
            reasons.append(
                f"the champion, version {champion.version}, was scored on other data "
                f"({champion.data_digest[:12]}, this one on {candidate.data_digest[:12]}); "
                f"evaluate models:/…/{champion.version} on the same store first"
            )
        elif champion.scoring != candidate.scoring:
            reasons.append(
                f"the champion, version {champion.version}, was scored with other code or settings of the evaluation; "
                f"evaluate models:/…/{champion.version} again first"
            )
        elif not score >= champion.r2_temporal:
            reasons.append(
                f"r2_temporal {score:.4f} is below {champion.r2_temporal:.4f}, that of the champion, "
                f"version {champion.version}, on the same data"
            )
    return reasons
