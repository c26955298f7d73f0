"""`ecr` with a real registry behind ECR's passwords: Debian's docker-registry."""

from __future__ import annotations

import random
from contextlib import ExitStack
from pathlib import Path

from imgbake.testing.shop import Shop, results
from imgbake_regions.tests.conftest import account as account
from imgbake_regions.tests.conftest import amazon as amazon
from imgbake_regions.tests.projects import Account
from tests.services.registries import Real

IN_ECR = """uses = "ecr"
account = "123456789012"
region = "eu-west-1"
repository = "team/shop"
create = { immutable_tags = true, mutable_tags = ["stable"] }"""


def test_all_of_an_image_is_in_a_real_registry(tmp_path: Path, account: Account) -> None:
    with ExitStack() as stack:
        real = Real(tmp_path, stack)
        registry = account.cloud.registry(real.host, "eu-west-1")
        registry.ends_after = 5  # then a password is refused, in the middle of it
        project = Shop(tmp_path / "shop")
        for number in range(3):
            project.write(f"files/{number}", random.Random(number).randbytes(1_000_000))
        project.to(eu=IN_ECR, files='{ from = "files/*", to = "/srv/" }')
        ran = project.run("distribute", "--format", "json", "--progress", "plain", "--verify", "full")
        assert ran.code == 0, ran.stdout + ran.stderr
        digest = ran.json["arrivals"][0]["reference"].partition("@")[2]
        assert real.tags() == {"1": digest, "stable": digest}
        real.check()
        assert account.cloud.count("ecr:GetAuthorizationToken") == 2
        assert results(project.run("distribute", "--format", "json")) == ["there"]
        project.write("files/0", "another")
        ran = project.run("distribute", "--progress", "plain")
        assert ran.code == 1 and "immutable tags" in ran.stderr
        assert set(real.tags().values()) == {digest}
