"""What is known of an image's insides: packages and findings, as tests have put them there."""

from __future__ import annotations

from ..call import Call, Reader, Values
from ..errors import Refused

_FINDINGS = ("imageBuildVersionArn", "imagePipelineArn", "vulnerabilityId", "severity")


def packages(call: Call) -> Values:
    """The packages of an image that is done."""
    image = call.get("imageBuildVersionArn")
    if image.body["state"]["status"] != "AVAILABLE":
        raise Refused("InvalidRequestException", f"The image '{image.arn}' is not available.")
    return call.page("imagePackageList", image.packages)


def findings(call: Call) -> Values:
    """What scans have found."""
    found = []
    for image in call.store.of("image", call.region):
        about = {"awsAccountId": call.account, "imageBuildVersionArn": str(image.arn)}
        pipeline = image.body.get("sourcePipelineArn")
        if pipeline:
            about["imagePipelineArn"] = pipeline
        found += [{**about, **finding} for finding in image.findings]
    return call.page("findings", found, {name: _reader(name) for name in _FINDINGS})


def _reader(name: str) -> Reader:
    def read(finding: Values) -> list[str]:
        details = finding.get("packageVulnerabilityDetails", {})
        return [str(details.get(name) or finding.get(name))]

    return read


OPERATIONS = {"ListImagePackages": packages, "ListImageScanFindings": findings}
