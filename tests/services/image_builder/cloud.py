"""What builds leave in the account: instances, AMIs, parameters; imagined, or at an endpoint."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any, Protocol

Body = dict[str, Any]


class Trouble(Exception):  # an error of the account's, which fails a build rather than a request
    """What another service answered that makes a build fail."""


class Cloud(Protocol):
    """The services that Image Builder calls for its user."""

    def base(self, region: str) -> str:
        """An AMI of Amazon's."""

    def parameter(self, region: str, name: str) -> str:
        """The value of a parameter."""

    def read(self, region: str, uri: str) -> str:
        """The text of an object in S3."""

    def launch(self, region: str, image: str, infrastructure: Body, devices: list[Body], tags: Body) -> str:
        """Starts an instance."""

    def terminate(self, region: str, instance: str) -> None:
        """Ends an instance."""

    def create(self, region: str, instance: str, name: str, about: str, tags: Body) -> str:
        """Makes an AMI of an instance."""

    def copy(self, source: tuple[str, str], region: str, account: str, wanted: Body, tags: Body) -> str:
        """Makes an AMI of one that is in a region, for an account."""

    def share(self, region: str, image: str, permission: Body) -> None:
        """Lets others launch an AMI."""

    def put(self, region: str, name: str, value: str, kind: str) -> None:
        """Writes a parameter."""

    def template(self, region: str, template: str, image: str, is_default: bool) -> None:
        """Gives a launch template a version with an AMI."""

    def has_repository(self, region: str, name: str) -> bool:
        """Is there a repository for containers?"""

    def state(self, region: str, image: str, state: str) -> None:
        """Brings an AMI into the state of its image, such as DELETED."""


class Imagined:
    """Names things, and makes none."""

    def base(self, region: str) -> str:
        return _id("ami")

    def parameter(self, region: str, name: str) -> str:
        return _id("ami")

    def read(self, region: str, uri: str) -> str:
        raise Trouble(f"{uri} can't be read: the emulator has no endpoint for S3")

    def launch(self, region: str, image: str, infrastructure: Body, devices: list[Body], tags: Body) -> str:
        return _id("i")

    def terminate(self, region: str, instance: str) -> None:
        pass

    def create(self, region: str, instance: str, name: str, about: str, tags: Body) -> str:
        return _id("ami")

    def copy(self, source: tuple[str, str], region: str, account: str, wanted: Body, tags: Body) -> str:
        return _id("ami")

    def share(self, region: str, image: str, permission: Body) -> None:
        pass

    def put(self, region: str, name: str, value: str, kind: str) -> None:
        pass

    def template(self, region: str, template: str, image: str, is_default: bool) -> None:
        pass

    def has_repository(self, region: str, name: str) -> bool:
        return True

    def state(self, region: str, image: str, state: str) -> None:
        pass


class Endpoint:
    """Makes things at an endpoint that serves EC2, SSM, S3, STS and ECR, such as moto's server."""

    def __init__(self, url: str, account: str) -> None:
        self._url, self._account = url, account
        self._clients: dict[tuple[str, str, str], Any] = {}

    def base(self, region: str) -> str:
        names = [{"Name": "name", "Values": ["amzn2-ami-*", "amzn-ami-*", "al2023-ami-*"]}]
        found = self._ask(
            lambda: self._client("ec2", region).describe_images(Owners=["amazon"], Filters=names)
        )
        if not found["Images"]:
            raise Trouble(f"There is no AMI of Amazon Linux in {region}")
        return str(found["Images"][0]["ImageId"])

    def parameter(self, region: str, name: str) -> str:
        found = self._ask(lambda: self._client("ssm", region).get_parameter(Name=name))
        return str(found["Parameter"]["Value"])

    def read(self, region: str, uri: str) -> str:
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        found = self._ask(lambda: self._client("s3", region).get_object(Bucket=bucket, Key=key))
        text: str = found["Body"].read().decode()
        return text

    def launch(self, region: str, image: str, infrastructure: Body, devices: list[Body], tags: Body) -> str:
        wanted: Body = {
            "ImageId": image,
            "MinCount": 1,
            "MaxCount": 1,
            "InstanceType": (infrastructure.get("instanceTypes") or ["m5.large"])[0],
            "TagSpecifications": [{"ResourceType": "instance", "Tags": _tags(tags)}],
        }
        for key, option in [
            ("subnetId", "SubnetId"),
            ("securityGroupIds", "SecurityGroupIds"),
            ("keyPair", "KeyName"),
        ]:
            if key in infrastructure:
                wanted[option] = infrastructure[key]
        if devices:
            wanted["BlockDeviceMappings"] = [_capitalised(device) for device in devices]
        found = self._ask(lambda: self._client("ec2", region).run_instances(**wanted))
        return str(found["Instances"][0]["InstanceId"])

    def terminate(self, region: str, instance: str) -> None:
        self._ask(lambda: self._client("ec2", region).terminate_instances(InstanceIds=[instance]))

    def create(self, region: str, instance: str, name: str, about: str, tags: Body) -> str:
        made = self._ask(
            lambda: self._client("ec2", region).create_image(
                InstanceId=instance,
                Name=name,
                Description=about,
                TagSpecifications=[{"ResourceType": "image", "Tags": _tags(tags)}],
            )
        )
        return str(made["ImageId"])

    def copy(self, source: tuple[str, str], region: str, account: str, wanted: Body, tags: Body) -> str:
        client = self._client("ec2", region, account)
        options: Body = {"Name": wanted["name"], "Description": wanted.get("description", "")}
        if account == self._account:
            if "kmsKeyId" in wanted:
                options |= {"Encrypted": True, "KmsKeyId": wanted["kmsKeyId"]}
            origin, image = source
            made = self._ask(lambda: client.copy_image(SourceRegion=origin, SourceImageId=image, **options))
        else:  # moto copies nothing between accounts
            made = self._ask(lambda: client.register_image(RootDeviceName="/dev/xvda", **options))
        self._ask(lambda: client.create_tags(Resources=[made["ImageId"]], Tags=_tags(tags)))
        return str(made["ImageId"])

    def share(self, region: str, image: str, permission: Body) -> None:
        kinds = {
            "userIds": "UserId",
            "userGroups": "Group",
            "organizationArns": "OrganizationArn",
            "organizationalUnitArns": "OrganizationalUnitArn",
        }
        adding = [{kind: value} for key, kind in kinds.items() for value in permission.get(key, [])]
        client = self._client("ec2", region)
        if adding:
            self._ask(lambda: client.modify_image_attribute(ImageId=image, LaunchPermission={"Add": adding}))

    def put(self, region: str, name: str, value: str, kind: str) -> None:
        client = self._client("ssm", region)
        self._ask(
            lambda: client.put_parameter(Name=name, Value=value, Type="String", DataType=kind, Overwrite=True)
        )

    def template(self, region: str, template: str, image: str, is_default: bool) -> None:
        client = self._client("ec2", region)
        made = self._ask(
            lambda: client.create_launch_template_version(
                LaunchTemplateId=template, SourceVersion="$Latest", LaunchTemplateData={"ImageId": image}
            )
        )
        number = str(made["LaunchTemplateVersion"]["VersionNumber"])
        if is_default:
            self._ask(lambda: client.modify_launch_template(LaunchTemplateId=template, DefaultVersion=number))

    def has_repository(self, region: str, name: str) -> bool:
        try:
            self._ask(lambda: self._client("ecr", region).describe_repositories(repositoryNames=[name]))
        except Trouble:
            return False
        return True

    def state(self, region: str, image: str, state: str) -> None:
        client = self._client("ec2", region)
        if state == "DELETED":
            self._ask(lambda: client.deregister_image(ImageId=image))

    def _client(self, service: str, region: str, account: str = "") -> Any:
        """A client, made once; in another account by the role that Image Builder takes there."""
        account = account or self._account
        key = service, region, account
        if key not in self._clients:
            import boto3

            self._clients[key] = boto3.client(
                service, region_name=region, endpoint_url=self._url, **self._credentials(account)
            )
        return self._clients[key]

    def _credentials(self, account: str) -> dict[str, str]:
        if account == self._account:
            return {"aws_access_key_id": "emulator", "aws_secret_access_key": "emulator"}
        role = f"arn:aws:iam::{account}:role/EC2ImageBuilderDistributionCrossAccountRole"
        client = self._client("sts", "us-east-1")
        taken = self._ask(lambda: client.assume_role(RoleArn=role, RoleSessionName="imagebuilder"))
        given = taken["Credentials"]
        return {
            "aws_access_key_id": given["AccessKeyId"],
            "aws_secret_access_key": given["SecretAccessKey"],
            "aws_session_token": given["SessionToken"],
        }

    def _ask(self, call: Callable[[], Any]) -> Any:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            return call()
        except (BotoCoreError, ClientError) as error:
            raise Trouble(str(error)) from None


def _id(prefix: str) -> str:
    return f"{prefix}-0{secrets.token_hex(8)}"


def _tags(tags: Body) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def _capitalised(device: Body) -> Body:
    """A block device as EC2 spells it."""
    return {
        key[0].upper() + key[1:]: _capitalised(value) if isinstance(value, dict) else value
        for key, value in device.items()
    }
