"""The cloud that tests ask."""

from imgbake_aws.tests.fixtures import cloud as cloud
from imgbake_aws.tests.fixtures import moto as moto
