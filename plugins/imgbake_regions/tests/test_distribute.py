"""AMIs in regions: copied once, found again, and under their names when all are there."""

from __future__ import annotations

import datetime
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from imgbake.testing.shop import results
from imgbake_aws import sdk
from imgbake_aws.sites import Site
from imgbake_regions import waiting
from imgbake_regions.tests.projects import HOME, Account, Regions
from tests.services.amazon import Fault

EU, AU = "eu-west-1", "ap-southeast-2"
NAMED = 'ssm_parameter = "/shop/ami"'


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "_FIRST", 0.05)
    monkeypatch.setattr(waiting, "_UNSEEN", 0.2)
    monkeypatch.setattr(sdk, "_TRIES", 1)


def test_an_ami_is_copied_to_all_regions(project: Regions, account: Account) -> None:
    project.to(us_east_1="", eu_west_1="", ap_southeast_2='name = "shop-au"\ntags = { Env = "prod" }')
    ran = project.distribute()
    assert results(ran) == ["published"] * 3
    amis = [each["facts"]["regions"] for each in ran.json["arrivals"]]
    assert amis == [
        {HOME: project.baked},
        {EU: account.only(EU)["ImageId"]},
        {AU: account.only(AU)["ImageId"]},
    ]
    assert list(account.amis(HOME)) == [project.baked]
    assert account.only(EU)["Name"] == "shop 1" and account.only(AU)["Name"] == "shop-au"
    tags = account.tags(AU)
    assert (tags["Team"], tags["Env"], tags["imgbake:image"]) == ("shop", "prod", "shop")
    assert tags["imgbake:source"] == project.baked


def test_what_is_there_is_asked_for_once_and_changed_by_nothing(project: Regions, account: Account) -> None:
    project.to(us_east_1=NAMED, eu_west_1=NAMED)
    project.distribute()
    account.cloud.calls.clear()
    assert results(project.distribute()) == ["there", "there"]
    assert set(account.cloud.calls) == {
        "ec2:DescribeImages eu-west-1",
        "ec2:DescribeImages us-east-1",
        "ssm:GetParameter eu-west-1",
        "ssm:GetParameter us-east-1",
    }
    assert account.cloud.count("ec2:DescribeImages") == 2


def test_with_nothing_to_do_regions_are_asked_and_no_recipe_is_read(
    project: Regions, account: Account
) -> None:
    said = NAMED + '\naccounts = ["111122223333"]\nlaunch_templates = [{ name = "web" }]'
    for region in (HOME, EU):
        account.template(region, "web")
    project.to(us_east_1=said, eu_west_1=said)
    project.distribute()
    time.sleep(0.1)  # until files are old enough to prove something
    project.distribute()
    account.cloud.calls.clear()
    ran = project.distribute()
    assert ran.stderr.startswith("nothing to do: ") and results(ran) == ["there", "there"]
    described = "ec2:DescribeImages"
    assert account.cloud.count(f"{described} {EU}") == 2  # for its AMIs, and who may launch them
    assert account.cloud.count(f"ssm:GetParameter {EU}") == 1

    changes: list[Callable[[], object]] = [
        lambda: account.client("ssm", EU).delete_parameter(Name="/shop/ami"),
        lambda: account.client("ec2", EU).modify_launch_template(
            LaunchTemplateName="web", DefaultVersion="1"
        ),
        lambda: account.client("ec2").delete_tags(Resources=[project.baked], Tags=[{"Key": "imgbake:copy"}]),
        lambda: account.client("ec2", EU).deregister_image(ImageId=account.only(EU)["ImageId"]),
    ]
    for change in changes:
        change()
        assert "published" in results(project.distribute())
        time.sleep(0.1)
        assert set(results(project.distribute())) == {"there"}


def test_a_plan_says_which_names_move_and_does_nothing(project: Regions, account: Account) -> None:
    project.to(eu_west_1=NAMED)
    project.build()
    ran = project.distribute("-n")
    (step,) = ran.json
    assert step["action"] == "deliver" and step["pointers"] == [f"ssm:/shop/ami,region={EU}"]
    assert not account.amis(EU)
    assert f"ssm:/shop/ami,region={EU}" in project.run("distribute", "-n").stdout


def test_a_copy_that_somebody_removed_is_made_again(project: Regions, account: Account) -> None:
    project.to(eu_west_1=NAMED)
    project.distribute()
    before = account.only(EU)["ImageId"]
    account.client("ec2", EU).deregister_image(ImageId=before)
    assert results(project.distribute()) == ["published"]
    assert account.parameter(EU) == account.only(EU)["ImageId"] != before


def test_a_copy_that_failed_is_removed_and_made_again(project: Regions, account: Account) -> None:
    project.to(eu_west_1="", ap_southeast_2="")
    account.cloud.failing_copies.append(EU)
    ran = project.distribute(code=3)
    assert results(ran) == ["failed", "delivered"]
    assert "the key was disabled" in ran.json["arrivals"][0]["error"]
    assert not account.amis(EU)
    assert results(project.distribute()) == ["published", "there"]
    assert account.cloud.count(f"ec2:CopyImage {AU}") == 1


def test_all_regions_are_copied_to_at_once(project: Regions, account: Account) -> None:
    regions = ["eu-west-1", "eu-west-2", "eu-west-3", "eu-central-1", "eu-north-1", "eu-south-1"]
    project.to(**{region.replace("-", "_"): "" for region in regions})
    account.cloud.copies_take = 3600
    with _started(project) as process:
        _until(lambda: all(map(account.amis, regions)))  # none of which is there yet
        for region in regions:
            account.cloud.advance_copies(region)
        assert process.wait(60) == 0


def test_one_request_asks_for_all_who_wait_in_a_region(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    amis = [account.bake(f"shop {number}", EU) for number in range(3)]
    asked: list[list[str]] = []
    states = ["pending"] * 3

    def described(site: Site, wanted: list[str]) -> list[waiting.Image]:
        asked.append(wanted)
        if wanted == sorted(amis):
            states[:] = ["available"] * 3
        return [{"ImageId": ami, "State": state} for ami, state in zip(amis, states, strict=True)]

    monkeypatch.setattr(waiting, "_described", described)
    all_of_them = waiting.Waiting()
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda ami: all_of_them.until_over(Site(EU), ami, _nothing, print), amis))
    assert [image["ImageId"] for image in found] == amis and sorted(amis) in asked


@pytest.mark.parametrize("told", [[42], []])
def test_it_is_told_how_much_of_a_copy_is_there(project: Regions, account: Account, told: list[int]) -> None:
    """By one more request for all copies of a region; who isn't allowed to ask does without."""
    heard: list[int] = []
    end = time.monotonic() + 60
    if not told:
        account.cloud.faults.append(Fault("UnauthorizedOperation", EU, "DescribeSnapshots", 403))

    def check() -> None:
        assert time.monotonic() < end, "it did not come so far"
        if heard == told and account.cloud.count(f"ec2:DescribeImages {EU}") > 2:
            account.cloud.advance_copies(EU)

    account.cloud.copies_take = 3600
    ec2 = account.client("ec2", EU)
    ami = ec2.copy_image(Name="shop", SourceImageId=project.baked, SourceRegion=HOME)["ImageId"]
    account.cloud.advance_copies(EU, 42)
    waiting.Waiting().until_over(Site(EU), ami, check, heard.append)
    assert heard == told
    assert (account.cloud.count(f"ec2:DescribeSnapshots {EU}") > 1) == bool(told)


def test_a_region_that_is_down_harms_no_other_and_is_done_later(project: Regions, account: Account) -> None:
    project.to(eu_west_1=NAMED, ap_southeast_2=NAMED)
    account.cloud.faults.append(Fault(region=EU))
    ran = project.distribute(code=3)
    assert results(ran) == ["failed", "delivered"]
    assert f"ec2:DescribeImages in {EU}: AWS refused: Unavailable" in ran.json["arrivals"][0]["error"]
    assert account.amis(AU) and account.parameter(AU) == ""  # it is atomic: no name moves
    account.cloud.faults.clear()
    assert results(project.distribute()) == ["published", "published"]
    assert account.parameter(AU) == account.only(AU)["ImageId"]
    assert account.cloud.count(f"ec2:CopyImage {AU}") == 1


def test_without_atomic_names_move_where_all_is_there(project: Regions, account: Account) -> None:
    project.to(eu_west_1=NAMED, ap_southeast_2=NAMED, more="atomic = false")
    account.cloud.faults.append(Fault(region=EU, operation="CopyImage", code="InternalError", status=500))
    assert results(project.distribute(code=3)) == ["failed", "published"]
    assert account.parameter(AU) == account.only(AU)["ImageId"]


def test_nothing_can_be_done_is_exit_code_1(project: Regions, account: Account) -> None:
    project.to(eu_west_1=NAMED)
    refused = "You are not authorized to perform: ec2:CopyImage on resource: arn:aws:ec2:eu-west-1::image/*"
    account.cloud.faults.append(
        Fault("UnauthorizedOperation", operation="CopyImage", status=403, message=refused)
    )
    ran = project.distribute(code=1)
    assert f"ec2:CopyImage {project.baked} to {EU}" in ran.stderr
    assert "allow the action ec2:CopyImage on arn:aws:ec2:eu-west-1::image/*" in ran.stderr


def test_too_many_copies_at_once_are_waited_for(project: Regions, account: Account) -> None:
    project.to(eu_west_1="")
    account.cloud.faults.append(Fault("ResourceLimitExceeded", operation="CopyImage", status=400, times=1))
    ran = project.distribute()
    assert results(ran) == ["published"] and "copies as many AMIs as it may" in ran.stderr


def test_a_killed_run_leaves_a_copy_that_the_next_one_goes_on_with(
    project: Regions, account: Account
) -> None:
    project.to(eu_west_1=NAMED)
    account.cloud.copies_take = 3600
    with _started(project) as process:
        _until(lambda: account.cloud.count("ec2:CopyImage") == 1 and bool(account.amis(EU)))
        process.send_signal(signal.SIGKILL)
        process.wait(60)
    account.cloud.copies_take = 0
    (pending,) = account.amis(EU)
    account.cloud.advance_copies(EU)
    ran = project.distribute()
    assert results(ran) == ["published"]
    assert list(account.amis(EU)) == [pending] and account.cloud.count("ec2:CopyImage") == 1
    assert account.parameter(EU) == pending


def test_ctrl_c_ends_the_wait_at_once_and_the_copy_is_taken_up(project: Regions, account: Account) -> None:
    project.to(eu_west_1="")
    account.cloud.copies_take = 60
    with _started(project, "json") as process:
        assert process.stderr is not None
        assert any('"unit":"% copied"' in line for line in process.stderr)
        process.send_signal(signal.SIGINT)
        assert "Traceback" not in process.communicate(timeout=60)[1]
        assert process.returncode == 130
    account.cloud.advance_copies(EU)
    assert results(project.distribute()) == ["there"]
    assert account.cloud.count("ec2:CopyImage") == 1


def test_the_answer_that_was_lost_is_asked_for_again(project: Regions, account: Account) -> None:
    """The copy was begun, and nobody heard of it: the token finds it, also while its tags aren't seen."""
    project.to(eu_west_1="")
    project.distribute()
    ami = account.only(EU)["ImageId"]
    account.client("ec2", EU).delete_tags(Resources=[ami], Tags=[{"Key": "imgbake:copy"}])
    assert results(project.distribute()) == ["published"]
    assert list(account.amis(EU)) == [ami] and account.tags(EU)["imgbake:copy"]


def test_an_ami_of_another_bake_with_the_same_name_is_said(project: Regions, account: Account) -> None:
    project.to(eu_west_1='name = "shop"')
    project.distribute()
    project.rebake()
    project.to(eu_west_1='name = "shop"')
    ran = project.distribute(code=1)
    assert f"there is another AMI 'shop' in {EU}" in ran.stderr and "such as a version" in ran.stderr


def test_an_ami_that_is_gone_at_home_is_said(project: Regions, account: Account) -> None:
    project.to(eu_west_1="")
    account.client("ec2").deregister_image(ImageId=project.baked)
    ran = project.distribute(code=1)
    assert f"{project.baked}" in ran.stderr and "Traceback" not in ran.stderr


def test_settings_are_compared_and_brought_up_to_date(project: Regions, account: Account) -> None:
    project.to(us_east_1="", eu_west_1="")
    project.distribute()
    said = 'description = "the shop"\ndeprecate_after = "90d"\ntags = { Tier = "1" }'
    project.to(us_east_1=said, eu_west_1=said)
    assert results(project.distribute()) == ["published", "published"]
    assert account.cloud.count("ec2:CopyImage") == 1
    for region in (HOME, EU):
        ami = account.only(region)
        made = datetime.datetime.fromisoformat(ami["CreationDate"])
        end = datetime.datetime.fromisoformat(ami["DeprecationTime"])
        assert ami["Description"] == "the shop" and account.tags(region)["Tier"] == "1"
        assert abs(end - made - datetime.timedelta(days=90)) <= datetime.timedelta(minutes=1)
    assert results(project.distribute()) == ["there", "there"]


def test_a_day_of_deprecation(project: Regions, account: Account) -> None:
    day = (datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=30)).date().isoformat()
    project.to(eu_west_1=f'deprecate_at = "{day}"')
    project.distribute()
    assert account.only(EU)["DeprecationTime"] == f"{day}T00:00:00.000Z"
    assert results(project.distribute()) == ["there"]


def test_windows_starts_fast_and_others_are_refused(project: Regions, account: Account) -> None:
    said = 'fast_launch = { snapshots = 7, max_parallel_launches = 8, launch_template = "windows" }'
    project.to(eu_west_1=said)
    assert "which is for Windows" in project.distribute(code=1).stderr
    assert not account.amis(EU)
    account.windows(project.baked)
    project.distribute()
    (found,) = account.client("ec2", EU).describe_fast_launch_images()["FastLaunchImages"]
    assert found["SnapshotConfiguration"]["TargetResourceCount"] == 7 and found["MaxParallelLaunches"] == 8
    assert found["LaunchTemplate"] == {"LaunchTemplateName": "windows", "Version": "$Default"}
    assert results(project.distribute()) == ["there"]
    assert account.cloud.count("ec2:EnableFastLaunch") == 1


def test_a_key_makes_a_copy_of_its_own(project: Regions, account: Account) -> None:
    key = 'kms_key_id = "alias/shop"\nname = "shop encrypted"'
    project.to(us_east_1=key, eu_west_1="encrypted = true")
    project.distribute()
    assert len(account.amis(HOME)) == 2
    ec2 = account.client("ec2", EU)
    snapshots = [disk["Ebs"]["SnapshotId"] for disk in account.only(EU)["BlockDeviceMappings"]]
    (snapshot,) = ec2.describe_snapshots(SnapshotIds=snapshots)["Snapshots"]
    assert snapshot["Encrypted"]
    tags = {tag["Key"]: tag["Value"] for tag in snapshot["Tags"]}
    assert tags["Team"] == "shop" and tags["imgbake:image"] == "shop"


def test_another_account_gets_a_copy_that_is_its_own(project: Regions, account: Account) -> None:
    role = 'role_arn = "arn:aws:iam::111122223333:role/images"\n' + NAMED
    project.to(us_east_1=role, eu_west_1=role)
    ran = project.distribute()
    assert results(ran) == ["published"] * 2
    assert [each["facts"]["account"] for each in ran.json["arrivals"]] == ["111122223333"] * 2
    assert list(account.amis(HOME)) == [project.baked] and not account.amis(EU)
    assert account.may_launch(HOME, project.baked) == ["111122223333"]
    assert account.parameter(EU) == ""
    other = account.assume("111122223333")
    (theirs,) = account.amis(EU, **other)
    ssm = account.client("ssm", EU, **other)
    assert ssm.get_parameter(Name="/shop/ami")["Parameter"]["Value"] == theirs
    assert results(project.distribute()) == ["there"] * 2


def test_full_verification_asks_for_the_snapshots(project: Regions, account: Account) -> None:
    project.to(eu_west_1="")
    project.distribute()
    account.cloud.calls.clear()
    assert results(project.distribute("--verify", "full")) == ["published"]
    assert account.cloud.count("ec2:DescribeSnapshots") == 1


@contextmanager
def _started(project: Regions, progress: str = "plain") -> Iterator[subprocess.Popen[str]]:
    """A run in a process of its own, which ends with the block."""
    with project.start("distribute", "--progress", progress) as process:
        try:
            yield process
        finally:
            process.kill()


def _nothing() -> None:
    """Goes on."""


def _until(is_so: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, "it did not come so far"
        time.sleep(0.05)
