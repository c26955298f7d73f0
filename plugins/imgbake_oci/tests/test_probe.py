import time

from imgbake.testing.project import Project
from imgbake_oci.tests.baked import *


def test_a(project: Project):
    project.write("a.txt", "hello")
    t = time.time()
    b = layer_of(project, '{from="a.txt",to="/etc/b.txt"}')
    print(time.time() - t)
    t = time.time()
    print(b.files(), b.members(), b.config())
    project.build()
    print(time.time() - t)
    print(project.run("lower", "app").stdout)
