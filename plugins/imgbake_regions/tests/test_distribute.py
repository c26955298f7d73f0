"""AMIs in regions: copied once, found again, and under their names when all are there."""

from __future__ import annotations

from imgbake_regions.tests.projects import HOME, Account, Regions, results


def test_an_ami_is_copied_to_all_regions(project: Regions, account: Account) -> None:
    project.to(us_east_1="", eu_west_1="", ap_southeast_2='name = "shop-au"\ntags = { Env = "prod" }')
    ran = project.distribute()
    assert results(ran) == ["published"] * 3
    references = [each["reference"] for each in ran.json["arrivals"]]
    assert references[0] == project.baked and list(account.amis(HOME)) == [project.baked]
    assert references[1:] == [account.only(each)["ImageId"] for each in ("eu-west-1", "ap-southeast-2")]
    assert account.only("eu-west-1")["Name"] == "shop 1"
    assert account.only("ap-southeast-2")["Name"] == "shop-au"
    tags = account.tags("ap-southeast-2")
    assert (tags["Team"], tags["Env"], tags["imgbake:image"]) == ("shop", "prod", "shop")
    assert tags["imgbake:source"] == project.baked
