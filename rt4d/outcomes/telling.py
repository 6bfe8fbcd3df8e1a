"""An analysis as JSON for scripts, and as sentences and tables that a clinician can read."""

from __future__ import annotations

from typing import Any

from rt4d.outcomes.analysis import Analysis, round_times
from rt4d.outcomes.caveats import caveats
from rt4d.outcomes.curves import Curve, at_risk
from rt4d.outcomes.effects import Effect, decimals, span, told
from rt4d.outcomes.proportional_hazards import TRANSFORM
from rt4d.outcomes.ranking import Ranking
from rt4d.outcomes.sensitivity import Variant

SCHEMA = "rt4d outcomes 1"


def as_dict(found: Analysis) -> dict[str, Any]:
    """The answer as JSON: `n`, `events` and `cox` (one joint model: per covariate hazard_ratio, ci95, p), and all that goes with it.

    A covariate whose hazard ratio is refused keeps its name in `cox`, with nulls and the reason; the column that stands for it follows.
    """
    cohort, model = found.cohort, found.model
    refused = {name: _refused(why, found.units.asked[name]) for name, why in found.units.refused.items()}
    return {
        "schema": SCHEMA,
        "n": cohort.n,
        "events": cohort.events,
        "competing_events": cohort.competing_events,
        "cox": refused | {name: _effect(found, name, effect) for name, effect in found.joint.items()},
        "univariable": {name: _alone(found, name) for name in found.alone},
        "adjusted_for_gtv_volume": _adjusted(found),
        "competing": _competing(found),
        "time": {"column": found.question.time, "unit": cohort.unit, "zero": found.question.time_zero, "median_follow_up": found.followed},
        "variance": "robust by centre" if cohort.clusters else "from the information",
        "centres": len(set(cohort.clusters)) if cohort.clusters else None,
        "t_degrees_of_freedom": model.degrees,
        "likelihood_ratio": model.likelihood_ratio.to_dict(),
        "events_per_variable": found.events_per_variable,
        "c_index": _ranking(found.ranking),
        "auc": [{"time": time, **_ranking(each)} for time, each in found.auc.items()],
        "calibration": _calibration(found),
        "proportional_hazards": {
            "transform": TRANSFORM,
            "p": {name: test.p for name, test in found.proportional.by_covariate.items()},
            "p_together": found.proportional.together.p,
        },
        "non_linearity_p": {name: None if test is None else test.p for name, test in found.bend.items()},
        "survival": _curve(found.spared, found),
        "sensitivity": [_variant(variant) for variant in found.variants],
        "lost_rows": list(cohort.lost),
        "warnings": caveats(found),
    }


def _refused(why: str, instead: str) -> dict[str, Any]:
    return {"hazard_ratio": None, "ci95": None, "p": None, "unit": None, "refused": why, "given_as": instead}


def _ranking(ranking: Ranking) -> dict[str, Any]:
    return {"value": ranking.value, "ci95": None if ranking.ci95 is None else list(ranking.ci95)}


def _calibration(found: Analysis) -> dict[str, Any] | None:
    if found.calibration is None:
        return None
    time, groups = found.calibration
    listed = [{"n": g.n, "predicted": g.predicted, "observed": g.observed, "ci95": None if g.ci95 is None else list(g.ci95)} for g in groups]
    return {"time": time, "groups": listed}


def _effect(found: Analysis, name: str, effect: Effect) -> dict[str, Any]:
    said = effect.to_dict()
    if (units := found.units.in_cm3.get(name)) is not None:
        said["per_cm3"] = effect.per(units, "per cm³").to_dict()
    said["ci95_bootstrap"] = None if found.bootstrap is None else list(found.bootstrap[name])
    return said


def _alone(found: Analysis, name: str) -> dict[str, Any]:
    alone = found.alone[name]
    everyone = None if alone.everyone is None else {"n": alone.n, **alone.everyone.to_dict()}
    return {**alone.effect.to_dict(), "p_holm": alone.p_holm, "p_benjamini_hochberg": alone.p_benjamini_hochberg, "everyone": everyone}


def _adjusted(found: Analysis) -> dict[str, Any] | None:
    if (adjusted := found.adjusted) is None:
        return None
    return {
        "volume": adjusted.volume,
        "n": adjusted.n,
        "events": adjusted.events,
        "before": {name: effect.to_dict() for name, effect in adjusted.before.items()},
        "after": {name: effect.to_dict() for name, effect in adjusted.after.items()},
        "of_volume": adjusted.of_volume.to_dict(),
        "spearman_with_volume": adjusted.correlation,
    }


def _competing(found: Analysis) -> dict[str, Any] | None:
    if (competing := found.competing) is None:
        return None
    return {
        "fine_gray": {name: effect.to_dict() for name, effect in competing.fine_gray.items()},
        "cumulative_incidence": {"event": _curve(competing.of_event, found), "competing_event": _curve(competing.of_competing, found)},
    }


def _variant(variant: Variant) -> dict[str, Any]:
    effects = {name: effect.to_dict() for name, effect in variant.effects.items()}
    return {"what": variant.what, "n": variant.n, "events": variant.events, "cox": effects}


def _curve(curve: Curve, found: Analysis) -> list[dict[str, Any]]:
    times = round_times(found.cohort)
    at, waiting = curve.at(times), at_risk(found.cohort, times)
    return [
        {"time": float(time), "value": float(at["value"][n]), "ci95": [float(at["low"][n]), float(at["high"][n])], "at_risk": int(waiting[n])}
        for n, time in enumerate(times)
    ]


def as_text(found: Analysis) -> str:
    """What a person reads in a terminal: who, the hazard ratios with their units, in words, the checks, and what to know before believing it."""
    parts = [_who(found), _table(found, "Cox regression, all covariates in one model:", found.joint), _words(found.joint), _alone_text(found)]
    parts += [_adjusted_text(found), _variants_text(found), _competing_text(found), _survival_text(found), _checks(found)]
    notes = caveats(found)
    parts.append("Before this is believed:\n" + "\n".join(f"  - {note}" for note in notes) if notes else "")
    return "\n\n".join(part for part in parts if part) + "\n"


def _who(found: Analysis) -> str:
    cohort, question = found.cohort, found.question
    events = [f"{cohort.events} with the event", *([f"{cohort.competing_events} with a competing event"] if cohort.competing_events else [])]
    censored = cohort.n - cohort.events - cohort.competing_events
    lost = f"; {len(cohort.lost)} more left out (something is missing)" if cohort.lost else ""
    followed = "" if found.followed is None else f" Median follow-up {found.followed:g} {cohort.unit}."
    centres = f" Variance robust by centre ({len(set(cohort.clusters))} centres; t with {found.model.degrees} degrees)." if cohort.clusters else ""
    zero = f", counted from {question.time_zero}" if question.time_zero else ""
    who = f"{cohort.n} patients, {', '.join(events)} ({question.event}), {censored} censored{lost}"
    return f"{who}. Time: {question.time}, {cohort.unit}{zero}.{followed}{centres}"


def _table(found: Analysis, title: str, effects: dict[str, Effect]) -> str:
    names = {name: _named(name, effect) for name, effect in effects.items()}
    width = max(len(name) for name in names.values())
    lines = [title, f"  {'':<{width}}  hazard ratio  95 % interval         p"]
    for name, effect in effects.items():
        lines.append(_line(names[name], effect, width))
        if (units := found.units.in_cm3.get(name)) is not None:
            lines.append(_line("  the same per cm³", effect.per(units, "per cm³"), width))
    return "\n".join(lines)


def _named(name: str, effect: Effect) -> str:
    """A covariate with its unit; a level says itself what it is compared with."""
    return name if effect.unit.startswith("against") else f"{name}, {effect.unit}"


def _line(name: str, effect: Effect, width: int) -> str:
    ratio, interval = _ratio(effect)
    return f"  {name:<{width}}  {ratio:<12}  {interval:<20}  {_p(effect.p)}"


def _ratio(effect: Effect) -> tuple[str, str]:
    """A hazard ratio and its interval, with as many decimals as the interval is good for."""
    return told(effect.hazard_ratio, decimals(*effect.ci95)), span(*effect.ci95)


def _p(value: float) -> str:
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def _words(effects: dict[str, Effect]) -> str:
    return "\n".join(f"In words: {_sentence(name, effect)}" for name, effect in effects.items())


def _sentence(name: str, effect: Effect) -> str:
    low, high = effect.ci95
    more = name if effect.unit.startswith("against") else f"1 {effect.unit.removeprefix('per ').removeprefix('1')} more of {name}".replace("  ", " ")
    where = f"between {_change(low)} and {_change(high)}"
    if effect.p < 0.05:
        return f"{more} goes with a hazard {_change(effect.hazard_ratio)} ({where})."
    return f"{more}: these patients show no clear association; the hazard may be anywhere {where}."


def _change(ratio: float) -> str:
    part = 100 * abs(ratio - 1)
    size = f"{ratio:.3g} times as high" if ratio > 2 else f"{part:.2g} % {'higher' if ratio > 1 else 'lower'}"
    return size if part >= 5e-7 else "the same"


def _alone_text(found: Analysis) -> str:
    if len(found.alone) == 1 and not any(alone.everyone for alone in found.alone.values()):
        return ""
    text = _table(found, "Each covariate alone, in the same patients:", {name: alone.effect for name, alone in found.alone.items()})
    if len(found.alone) > 1:
        text += f"\n  Holm's p for {len(found.alone)} tried: " + ", ".join(f"{name} {_p(alone.p_holm)}" for name, alone in found.alone.items())
    for name, alone in found.alone.items():
        if alone.everyone is not None:
            ratio, interval = _ratio(alone.everyone)
            text += f"\n  {name} in all {alone.n} patients who have it: {ratio} ({interval}), p {_p(alone.everyone.p)}"
    return text


def _adjusted_text(found: Analysis) -> str:
    if (adjusted := found.adjusted) is None:
        return ""
    lines = [f"Adjusted for the GTV's volume ({adjusted.volume}, known of {adjusted.n} patients with {adjusted.events} events):"]
    for name, after in adjusted.after.items():
        before, (now, interval) = _ratio(adjusted.before[name]), _ratio(after)
        lines.append(f"  {_named(name, after)}: {before[0]} ({before[1]}) before, {now} ({interval}), p {_p(after.p)} after")
        lines.append(f"  Spearman's correlation of {name} with that volume: {adjusted.correlation[name]:.2f}")
    return "\n".join(lines)


def _variants_text(found: Analysis) -> str:
    lines = ["Does the result hang on misses or on the size of voxels? The joint model again:"]
    for variant in found.variants:
        lines.append(f"  {variant.what} ({variant.n} patients, {variant.events} events)")
        lines += [f"    {_named(name, effect)}: {' ('.join(_ratio(effect))}), p {_p(effect.p)}" for name, effect in variant.effects.items()]
    return "\n".join(lines) if found.variants else ""


def _competing_text(found: Analysis) -> str:
    if (competing := found.competing) is None:
        return ""
    text = _table(found, "Fine and Gray, all covariates in one model (subdistribution hazards: how incidence goes with them):", competing.fine_gray)
    text += "\n  Cumulative incidence of the event and of the competing one:"
    for event, other in zip(_curve(competing.of_event, found), _curve(competing.of_competing, found), strict=True):
        text += f"\n    {_when(event['time'], found)}  {_percent(event):<20}{_percent(other):<20}{event['at_risk']} at risk"
    return text


def _survival_text(found: Analysis) -> str:
    if found.cohort.competing_events:
        return ""
    lines = [f"  {_when(each['time'], found)}  {_percent(each):<20}{each['at_risk']} at risk" for each in _curve(found.spared, found)]
    return "Free of the event (Kaplan–Meier):\n" + "\n".join(lines)


def _when(time: float, found: Analysis) -> str:
    years = time / (365.25 if found.cohort.unit == "days" else 12)
    text = f"{years:.0f} year{'s' if years > 1 else ''}" if years == round(years) else f"{time:g} {found.cohort.unit}"
    return f"{text:>12}"


def _percent(each: dict[str, Any]) -> str:
    return f"{100 * each['value']:.0f} % ({100 * each['ci95'][0]:.0f} to {100 * each['ci95'][1]:.0f})"


def _checks(found: Analysis) -> str:
    bends = ", ".join(f"{name} {_p(test.p)}" for name, test in found.bend.items() if test is not None) or "too few different values"
    proportional = ", ".join(f"{name} {_p(test.p)}" for name, test in found.proportional.by_covariate.items())
    together = _p(found.proportional.together.p)
    chance, variables = found.model.likelihood_ratio.p, found.events_per_variable
    boots = "none" if found.bootstrap is None else ", ".join(f"{name} {span(*each)}" for name, each in found.bootstrap.items())
    return "\n".join(
        (
            "Checks of the model:",
            f"  likelihood ratio of all covariates: p {_p(chance)}; {variables:.0f} events per covariate",
            f"  C-index {_share(found.ranking)}; 0.5 is chance; in the patients that the model was made from",
            *_auc_text(found),
            *_calibration_text(found),
            f"  proportional hazards (scaled Schoenfeld residuals, time as {TRANSFORM}): p {proportional}; together {together}",
            f"  straight line against restricted cubic spline: p {bends}",
            f"  bootstrap interval of the hazard ratio: {boots}",
        )
    )


def _share(ranking: Ranking) -> str:
    return f"{ranking.value:.2f}" + ("" if ranking.ci95 is None else f" ({ranking.ci95[0]:.2f} to {ranking.ci95[1]:.2f})")


def _auc_text(found: Analysis) -> list[str]:
    areas = ", ".join(f"{_when(time, found).strip()} {_share(each)}" for time, each in found.auc.items())
    return [f"  area under the time-dependent ROC curve: {areas}"] if areas else []


def _calibration_text(found: Analysis) -> list[str]:
    """How many were predicted to have the event and how many had it, in groups of rising risk."""
    if found.calibration is None:
        return []
    time, groups = found.calibration
    pairs = ", ".join(f"{100 * each.predicted:.0f} / {100 * each.observed:.0f} %" for each in groups)
    return [f"  event until {_when(time, found).strip()}, predicted / observed, in groups of rising risk: {pairs}"]
