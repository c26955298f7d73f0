"""Who may launch an image: the newest AMI of it that any of those in the recipe may launch.

Who looks for AMIs by a filter finds the newest that he may launch. So this is what he takes the image to
be, and making it an older one means that the newer ones may no longer be launched. A reference is an
AMI's id, and where only some of them may launch it, who: `ami-0abc…+111122223333`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from imgbake_aws import outcome, sdk, tags
from imgbake_regions.options import Options
from imgbake_regions.waiting import AVAILABLE, Image

_EVERYBODY = "all"


def wanted(options: Options) -> frozenset[str]:
    """All who are to launch it: accounts, ARNs, or everybody."""
    everybody = (_EVERYBODY,) if options.public else ()
    return frozenset((*options.accounts, *options.organizations, *options.organizational_units, *everybody))


class Sharing:
    """Who may launch the AMIs of one image of a project, in one place."""

    def __init__(self, options: Options, project: str, image: str) -> None:
        self._options, self._site = options, options.site
        self._of = {tags.PROJECT: project, tags.IMAGE: image}
        self._wanted = wanted(options)

    def current(self) -> str:
        """The newest AMI that any of them may launch, empty when there is none. Raises BakeError."""
        for image, who in self._shared():
            if who:
                ami = str(image["ImageId"])
                return ami if who == self._wanted else "+".join([ami, *sorted(who)])
        return ""

    def set_to(self, reference: str) -> None:
        """Makes it this one, for those that the reference names or for all. Raises BakeError."""
        ami, *named = reference.split("+")
        image = self._described(ami)
        for newer, who in self._shared():
            if _made(newer) > _made(image):
                self._change(newer, remove=who)
        self._mark(ami)
        some = frozenset(named) or self._wanted
        has = self._allowed(image)
        self._change(image, add=some - has, remove=has & self._wanted - some)

    def unset(self) -> None:
        """Takes it back from all of them. Raises BakeError."""
        for image, who in self._shared():
            self._change(image, remove=who)

    def _shared(self) -> Iterator[tuple[Image, frozenset[str]]]:
        """The AMIs that were ever shared, the newest first, and who of those we mean may launch them."""
        filters = [{"Name": f"tag:{key}", "Values": [value]} for key, value in self._of.items()]
        filters += [{"Name": "tag-key", "Values": [tags.SHARED]}, {"Name": "state", "Values": [AVAILABLE]}]
        with sdk.asking(f"ec2:DescribeImages in {self._site.region}"):
            pages = self._ec2.get_paginator("describe_images").paginate(Owners=["self"], Filters=filters)
            images = [image for page in pages for image in page["Images"]]
        for image in sorted(images, key=_made, reverse=True):
            yield image, self._allowed(image) & self._wanted

    @property
    def _ec2(self) -> sdk.Client:
        return self._site.client("ec2")

    def _allowed(self, image: Image) -> frozenset[str]:
        """All who may launch it; of those who are to make volumes, too, only who may do both."""
        ami = image["ImageId"]
        with sdk.asking(f"ec2:DescribeImageAttribute {ami} in {self._site.region}"):
            found = self._ec2.describe_image_attribute(ImageId=ami, Attribute="launchPermission")
        may = frozenset(next(iter(each.values())) for each in found["LaunchPermissions"])
        readers = self._readers()
        if readers & may:
            for snapshot in outcome.snapshots(image):
                may -= readers - self._may_read(snapshot)
        return may

    def _readers(self) -> frozenset[str]:
        """Those who are to make volumes of snapshots: accounts and everybody, and no organization."""
        if not self._options.share_snapshots:
            return frozenset()
        return frozenset(who for who in self._wanted if not who.startswith("arn:"))

    def _may_read(self, snapshot: str) -> frozenset[str]:
        with sdk.asking(f"ec2:DescribeSnapshotAttribute {snapshot} in {self._site.region}"):
            found = self._ec2.describe_snapshot_attribute(
                SnapshotId=snapshot, Attribute="createVolumePermission"
            )
        return frozenset(next(iter(each.values())) for each in found["CreateVolumePermissions"])

    def _change(self, image: Image, *, add: Collection[str] = (), remove: Collection[str] = ()) -> None:
        ami = image["ImageId"]
        if change := _permissions(add, remove):
            with sdk.asking(f"ec2:ModifyImageAttribute {ami} in {self._site.region}"):
                self._ec2.modify_image_attribute(ImageId=ami, LaunchPermission=change)
        readers = self._readers()
        if change := _permissions(readers.intersection(add), readers.intersection(remove)):
            for snapshot in outcome.snapshots(image):
                with sdk.asking(f"ec2:ModifySnapshotAttribute {snapshot} in {self._site.region}"):
                    self._ec2.modify_snapshot_attribute(SnapshotId=snapshot, CreateVolumePermission=change)

    def _mark(self, ami: str) -> None:
        with sdk.asking(f"ec2:CreateTags {ami} in {self._site.region}"):
            self._ec2.create_tags(Resources=[ami], Tags=tags.written({tags.SHARED: "true"}))

    def _described(self, ami: str) -> Image:
        with sdk.asking(f"ec2:DescribeImages {ami} in {self._site.region}"):
            image: Image = self._ec2.describe_images(ImageIds=[ami])["Images"][0]
        return image


def _made(image: Image) -> tuple[str, str]:
    """When it was made, as others who look for the newest see it."""
    return image["CreationDate"], image["ImageId"]


def _permissions(add: Collection[str], remove: Collection[str]) -> dict[str, list[dict[str, str]]]:
    """A change of permissions, as EC2 reads it; nothing where nothing changes."""
    both = {"Add": sorted(add), "Remove": sorted(remove)}
    return {what: [{_word(who): who} for who in found] for what, found in both.items() if found}


def _word(who: str) -> str:
    if who == _EVERYBODY:
        return "Group"
    if who.startswith("arn:"):
        return "OrganizationArn" if ":organization/" in who else "OrganizationalUnitArn"
    return "UserId"
