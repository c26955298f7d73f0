"""An account at moto."""

from __future__ import annotations

import base64
import contextlib
import json
import re
import urllib.parse
import urllib.request
from collections.abc import Iterator
from typing import Any

UBUNTU = "filter:owner=099720109477,name=ubuntu/images/hvm-ssd/ubuntu-trusty-14.04-*,region=us-east-1"
HERE, THERE = "123456789012", "111122223333"
TRUSTY, OTHER = "ami-1e749f67", "ami-03cf127a"
PUBLIC = [
    {
        "ami_id": ami,
        "name": name,
        "description": name,
        "owner_id": "099720109477",
        "state": "available",
        "public": True,
        "image_location": "amazon/getting-started",
        "image_type": "machine",
        "platform": None,
        "architecture": "x86_64",
        "virtualization_type": "hvm",
        "hypervisor": "xen",
        "sriov": "simple",
        "root_device_type": "ebs",
        "root_device_name": "/dev/sda1",
    }
    for ami, name in [
        (TRUSTY, "ubuntu/images/hvm-ssd/ubuntu-trusty-14.04-amd64-server-20170727"),
        (OTHER, "ubuntu/images/hvm-ssd/ubuntu-xenial-16.04-amd64-server-20170721"),
    ]
]
"""The AMIs that others have published in the cloud."""
_SIGNED = re.compile(r"Credential=[^/]+/[^/]+/([^/]+)/([^/]+)/")


class Cloud:
    """What is in the account."""

    def __init__(self, url: str) -> None:
        self._url = url

    def client(self, service: str, region: str = "us-east-1") -> Any:
        """A client of a service."""
        import boto3

        return boto3.client(service, region_name=region)

    def reset(self) -> None:
        """Empties the account."""
        urllib.request.urlopen(urllib.request.Request(f"{self._url}/moto-api/reset", method="POST"))

    @contextlib.contextmanager
    def asked(self) -> Iterator[list[str]]:
        """What the cloud is asked inside of the block, such as "ec2:DescribeImages us-east-1"."""
        found: list[str] = []
        self._recorder("reset-recording")
        self._recorder("start-recording")
        yield found
        self._recorder("stop-recording")
        for line in self._recorder("download-recording").splitlines():
            request = json.loads(line)
            body = base64.b64decode(request["body"]) if request["body_encoded"] else request["body"].encode()
            (action,) = urllib.parse.parse_qs(body.decode())["Action"]
            signed = _SIGNED.search(request["headers"]["Authorization"])
            found.append(f"{signed[2]}:{action} {signed[1]}" if signed else action)

    @contextlib.contextmanager
    def allowing(self, *actions: str) -> Iterator[dict[str, str]]:
        """Lets a new user do these actions and nobody anything else; the environment of that user."""
        iam = self.client("iam")
        statement = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        user = f"user-of-{'-'.join(actions).replace(':', '-')}"
        iam.create_user(UserName=user)
        iam.put_user_policy(UserName=user, PolicyName="some", PolicyDocument=policy)
        key = iam.create_access_key(UserName=user)["AccessKey"]
        self._check_permissions("0")
        try:
            yield {
                "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
                "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
            }
        finally:
            self._check_permissions("inf")

    def _check_permissions(self, after: str) -> None:
        """Lets moto ask for permission after so many requests."""
        url = f"{self._url}/moto-api/reset-auth"
        plain = {"Content-Type": "text/plain"}
        urllib.request.urlopen(urllib.request.Request(url, after.encode(), plain, method="POST"))

    def _recorder(self, what: str) -> bytes:
        request = urllib.request.Request(f"{self._url}/moto-api/recorder/{what}", method="POST")
        if what.startswith("download"):
            request.method = "GET"
        with urllib.request.urlopen(request) as answer:
            read: bytes = answer.read()
        return read

    def amis(self, region: str = "us-east-1") -> dict[str, dict[str, Any]]:
        """Our AMIs by their ids."""
        images = self.client("ec2", region).describe_images(Owners=["self"])["Images"]
        return {image["ImageId"]: image for image in images}

    def instances(self) -> list[tuple[str, str]]:
        """The state of each instance that there ever was, and the AMI that it was started from."""
        found = self.client("ec2").describe_instances()["Reservations"]
        return [
            (each["State"]["Name"], each["ImageId"])
            for reservation in found
            for each in reservation["Instances"]
        ]

    def leftovers(self) -> list[str]:
        """What costs money or should not be there after a bake: machines, keys, groups, free volumes."""
        ec2 = self.client("ec2")
        found = [f"instance {state}" for state, _ in self.instances() if state != "terminated"]
        found += [key["KeyName"] for key in ec2.describe_key_pairs()["KeyPairs"]]
        groups = ec2.describe_security_groups()["SecurityGroups"]
        found += [group["GroupName"] for group in groups if group["GroupName"] != "default"]
        return found + [volume["VolumeId"] for volume in ec2.describe_volumes()["Volumes"]]
