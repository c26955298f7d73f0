"""Why an image of Image Builder failed: by what component and command, in which regions, or for what
a scan has found. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from imgbake.api import Blueprint, StepError
from imgbake_image_builder.components import command_of

Finding = TypeVar("Finding", bound=Mapping[str, Any])

_LONGEST = 20  # lines of what a component printed, or a scan found
_SEVERITIES = ("CRITICAL", "HIGH", "MEDIUM", "LOW", "INFORMATIONAL", "UNTRIAGED")


def failure(
    image: Mapping[str, Any],
    blueprint: Blueprint,
    names: Mapping[str, str],
    findings: Sequence[Mapping[str, Any]] = (),
) -> StepError:
    """The error that says why. `names` are our components by the names in their ARNs.

    `findings` are those of a scan that has refused the image.
    """
    state = image.get("state", {})
    context = state.get("failureContext", {})
    status = str(state.get("status", "")).lower()
    if component := context.get("componentFailure"):
        return _of_component(component, image, blueprint, names)
    if distribution := context.get("distributionFailure"):
        return _of_distribution(distribution, image)
    if findings:
        return _of_findings(findings, image)
    step = f" at its step {context['failedStep']}" if context.get("failedStep") else ""
    reason = state.get("reason") or "no reason is given"
    hint = "" if status == "failed" else "somebody else has ended it: build it again"
    return StepError(f"the image {image.get('arn')} is {status}{step}: {reason}", hint=hint)


def _of_component(
    said: Mapping[str, Any], image: Mapping[str, Any], blueprint: Blueprint, names: Mapping[str, str]
) -> StepError:
    name = said.get("componentArn", "").split("/")[1:2]
    component = names.get(name[0], name[0]) if name else "?"
    phase, step = said.get("phaseName", "?"), said.get("stepName", "?")
    first, *rest = (said.get("errorMessage") or "no reason is given").strip().splitlines() or [""]
    place = f"phase {phase}, step {step}, action {said.get('action', '?')}"
    command = next(
        (command_of(layer, phase, step) for layer in blueprint.layers if layer.component == component), ""
    )
    shown = f": `{command.strip().splitlines()[0]}`" if command.strip() else ""
    message = f"component '{component}'{shown} failed ({place}): {first}"
    return StepError(message, hint=_next(image), tail=rest[-_LONGEST:])


def _of_distribution(said: Mapping[str, Any], image: Mapping[str, Any]) -> StepError:
    lines = [_region(each) for each in said.get("regionFailures", ())]
    failed = {each.get("region") for each in said.get("regionFailures", ())}
    lines += [
        f"{ami['region']}: {ami['image']} is there"
        for ami in image.get("outputResources", {}).get("amis", ())
        if ami.get("region") not in failed and ami.get("image")
    ]
    where = ", ".join(sorted(str(region) for region in failed)) or "some region"
    reason = said.get("errorMessage", "")
    message = f"the image could not be brought to {where}" + (f": {reason}" if reason else "")
    return StepError(message, hint=_next(image), tail=lines)


def _of_findings(findings: Sequence[Mapping[str, Any]], image: Mapping[str, Any]) -> StepError:
    condition = image.get("imageScanningConfiguration", {}).get("scanResultCondition", {})
    counts = Counter(str(each.get("severity", "UNTRIAGED")) for each in findings)
    found = ", ".join(f"{counts[name]} {name}" for name in sorted(counts, key=_severity))
    allowed = condition.get("maximumSeverityLabel", "?")
    worst = worst_first(findings)
    lines = [finding(each) for each in worst[:_LONGEST]]
    if len(worst) > _LONGEST:
        lines.append(f"and {len(worst) - _LONGEST} more")
    message = f"scanning has found {found}; the image may have no worse than {allowed}"
    hint = "update these packages, or allow more by `scanning.scan_result_condition`"
    return StepError(message, hint=hint, tail=lines)


def _severity(name: str) -> int:
    """The worst first."""
    return _SEVERITIES.index(name) if name in _SEVERITIES else len(_SEVERITIES)


def worst_first(findings: Iterable[Finding]) -> list[Finding]:
    """What a scan has found, by how severe it is."""
    return sorted(findings, key=lambda each: _severity(str(each.get("severity", ""))))


def finding(said: Mapping[str, Any]) -> str:
    """What a scan has found, in a line."""
    about = said.get("packageVulnerabilityDetails", {})
    packages = ", ".join(
        " ".join(str(each[key]) for key in ("name", "version") if key in each)
        for each in about.get("vulnerablePackages", ())
    )
    title = " ".join(filter(None, (about.get("vulnerabilityId"), packages))) or said.get("title", "?")
    fixed = " (a fix is available)" if said.get("fixAvailable") == "YES" else ""
    return f"{said.get('severity', 'UNTRIAGED')}: {title}{fixed}"


def _region(said: Mapping[str, Any]) -> str:
    account = f" (account {said['targetAccountId']})" if said.get("targetAccountId") else ""
    step = f" at {said['imageConfigurationStep']}" if said.get("imageConfigurationStep") else ""
    reason = said.get("errorMessage", "no reason is given")
    return f"{said.get('region')}{account}: {str(said.get('status', '')).lower()}{step}: {reason}"


def _next(image: Mapping[str, Any]) -> str:
    """What the next build makes of it."""
    if image.get("type") == "DOCKER":
        return "the next build begins anew"
    return "the next build goes on from there, unless something has changed"
