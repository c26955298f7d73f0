"""Images baked by the engine's classic builder."""

from __future__ import annotations

from imgbake.testing.busybox import phases, printed
from imgbake_docker.tests.projects import OnEngine, outcome

HELLO = """
    [components.hello]
    files = [{ from = "greeting", to = "/etc/greeting" }]
    env = { WHOM = "world" }
    build = ["echo $(cat /etc/greeting) $WHOM | tee /etc/motd", "echo done"]
    validate = ["grep world /etc/motd"]
    test = ["cat /etc/motd > /copy", "grep hello /copy"]
    network = "none"
"""


def test_an_image_is_baked_tested_and_tagged(project: OnEngine):
    project.write("greeting", "hello")
    ran = project.bake(HELLO, 'cmd = ["cat", "/etc/motd"]')
    assert outcome(ran) == "ran"
    assert phases(ran) == ["hello: build", "hello: validate", "hello: test"]
    assert any("hello world" in line for line in printed(ran))
    baked = project.baked()
    assert ran.json["nodes"][-2]["artifact"]["digest"] == baked["Id"]
    assert baked["Config"]["Cmd"] == ["cat", "/etc/motd"]
    assert "WHOM=world" in baked["Config"]["Env"]


def test_an_image_counts_only_while_the_engine_has_it(project: OnEngine):
    project.write("greeting", "hello")
    project.bake(HELLO)
    assert outcome(project.build()) == "cached"
    project.clear()
    assert outcome(project.build()) == "ran"
    project.baked()
