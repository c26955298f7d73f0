"""Projects whose AMIs go to regions, and the account that has them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from imgbake.testing.project import Project
from tests.services.amazon import Amazon

HOME = "us-east-1"


class Account:
    """What is in the account."""

    def __init__(self, cloud: Amazon) -> None:
        self.cloud = cloud

    def client(self, service: str, region: str = HOME, **options: Any) -> Any:
        """A client of a service."""
        import boto3

        return boto3.client(service, region_name=region, **options)

    def bake(self, name: str = "shop 1", region: str = HOME, **tags: str) -> str:
        """Makes an AMI as a bake does, without a machine that runs on."""
        ec2 = self.client("ec2", region)
        ami: str = ec2.register_image(Name=name)["ImageId"]
        pairs = [{"Key": key, "Value": value} for key, value in {"Team": "shop", **tags}.items()]
        ec2.create_tags(Resources=[ami], Tags=pairs)
        return ami

    def amis(self, region: str, **options: Any) -> dict[str, Any]:
        """Our AMIs by their ids."""
        images = self.client("ec2", region, **options).describe_images(Owners=["self"])["Images"]
        return {image["ImageId"]: image for image in images}

    def only(self, region: str, **options: Any) -> Any:
        """The one AMI there."""
        (image,) = self.amis(region, **options).values()
        return image

    def tags(self, region: str) -> dict[str, str]:
        """The tags of the one AMI there."""
        return {tag["Key"]: tag["Value"] for tag in self.only(region)["Tags"]}

    def may_launch(self, region: str, ami: str) -> list[str]:
        """Who may launch an AMI."""
        ec2 = self.client("ec2", region)
        found = ec2.describe_image_attribute(ImageId=ami, Attribute="launchPermission")["LaunchPermissions"]
        return sorted(value for each in found for value in each.values())

    def may_read(self, region: str, image: Any) -> list[str]:
        """Who may make volumes of all snapshots of an AMI."""
        ec2, found = self.client("ec2", region), []
        for disk in image["BlockDeviceMappings"]:
            said = ec2.describe_snapshot_attribute(
                SnapshotId=disk["Ebs"]["SnapshotId"], Attribute="createVolumePermission"
            )
            found.append({value for each in said["CreateVolumePermissions"] for value in each.values()})
        return sorted(set.intersection(*found))

    def template(self, region: str, name: str, **data: Any) -> str:
        """Makes a launch template. Returns its id."""
        ec2 = self.client("ec2", region)
        made = ec2.create_launch_template(LaunchTemplateName=name, LaunchTemplateData=data)
        return str(made["LaunchTemplate"]["LaunchTemplateId"])

    def version(self, region: str, template: str, which: str) -> tuple[int, dict[str, Any]]:
        """The number and the data of a version."""
        ec2 = self.client("ec2", region)
        found = ec2.describe_launch_template_versions(LaunchTemplateId=template, Versions=[which])
        (version,) = found["LaunchTemplateVersions"]
        return version["VersionNumber"], version["LaunchTemplateData"]

    def assume(self, account: str) -> dict[str, str]:
        """Options for clients in another account."""
        role = f"arn:aws:iam::{account}:role/images"
        made = self.client("sts").assume_role(RoleArn=role, RoleSessionName="test")["Credentials"]
        return {
            "aws_access_key_id": made["AccessKeyId"],
            "aws_secret_access_key": made["SecretAccessKey"],
            "aws_session_token": made["SessionToken"],
        }

    def windows(self, ami: str) -> None:
        """Lets an AMI be one of Windows."""
        from moto.ec2.models import ec2_backends

        ec2_backends["123456789012"][HOME].amis[ami].platform = "windows"

    def parameter(self, region: str, name: str = "/shop/ami") -> str:
        """What a parameter holds, empty when it isn't there."""
        ssm = self.client("ssm", region)
        try:
            return str(ssm.get_parameter(Name=name)["Parameter"]["Value"])
        except ssm.exceptions.ParameterNotFound:
            return ""


class Regions(Project):
    """A project with the image `shop`, whose AMI is in us-east-1."""

    def __init__(self, root: Path, account: Account) -> None:
        super().__init__(root)
        self.account = account
        self.baked = account.bake()

    def rebake(self, name: str = "shop 2") -> str:
        """Makes another AMI, which the image is from now on."""
        self.baked = self.account.bake(name)
        return self.baked

    def to(self, *, more: str = "", **destinations: str) -> None:
        """Writes a recipe with these destinations: regions, such as `eu_west_1`, and their options."""
        tables = [
            f'[destinations.{name}]\nuses = "ami-region"\nregion = "{name.replace("_", "-")}"\n{options}\n'
            for name, options in destinations.items()
        ]
        self.recipe(
            '[project]\nname = "shop"\n[targets.ami]\nuses = "premade"\n'
            f'regions = {{ {HOME} = "{self.baked}" }}\n'
            '[images.shop]\nbase = "scratch"\ntargets = ["ami"]\n'
            + "\n".join(tables)
            + f'[distributions.prod]\nimages = ["shop"]\nto = {json.dumps(list(destinations))}\n{more}\n'
        )
