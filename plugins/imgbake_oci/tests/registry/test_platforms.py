import pytest

from imgbake.api import BakeError
from imgbake_oci import descriptor, media_types
from imgbake_oci.descriptor import Descriptor, Platform
from imgbake_oci.registry import choose


def index(*platforms: str) -> list[Descriptor]:
    """Manifests for these platforms, each with its place for a digest."""
    return [
        Descriptor(media_types.MANIFEST, str(place), 1, platform=descriptor.platform(text))
        for place, text in enumerate(platforms)
    ]


@pytest.mark.parametrize(
    ("there", "wanted", "chosen"),
    [
        ("linux/arm64 linux/amd64", "linux/amd64", 1),
        ("linux/amd64 linux/amd64", "linux/amd64", 0),
        ("windows/amd64 linux/amd64", "linux/amd64", 1),
        ("linux/arm64/v8", "linux/arm64", 0),
        ("linux/arm64", "linux/arm64/v8", 0),
        ("linux/arm64 linux/arm64/v9", "linux/arm64/v9", 1),
        ("linux/arm64", "linux/arm64/v9", 0),
        ("linux/arm/v5 linux/arm/v7 linux/arm/v6", "linux/arm", 1),
        ("linux/arm/v5 linux/arm/v7 linux/arm/v6", "linux/arm/v6", 2),
        ("linux/arm/v5", "linux/arm/v7", 0),
        ("linux/amd64 linux/amd64/v3 linux/amd64/v2", "linux/amd64", 0),
        ("linux/amd64 linux/amd64/v4 linux/amd64/v2", "linux/amd64/v3", 2),
        ("linux/ppc64le linux/mips64le/softfloat", "linux/mips64le/softfloat", 1),
    ],
)
def test_the_best_image_is_chosen(there: str, wanted: str, chosen: int) -> None:
    found = choose(index(*there.split()), descriptor.platform(wanted), "shop:1")
    assert found.digest == str(chosen)


@pytest.mark.parametrize(
    ("there", "wanted"),
    [
        ("linux/arm/v7", "linux/arm/v6"),
        ("linux/amd64/v3", "linux/amd64"),
        ("linux/386", "linux/amd64"),
        ("linux/arm/v7", "linux/arm64"),
        ("linux/arm64", "windows/arm64"),
    ],
)
def test_what_could_not_run_is_not_chosen(there: str, wanted: str) -> None:
    with pytest.raises(BakeError, match=f"shop:1 has no image for {wanted}"):
        choose(index(there), descriptor.platform(wanted), "shop:1")


def test_the_error_lists_what_there_is() -> None:
    manifests = index("linux/amd64", "linux/arm/v7", "linux/amd64", "unknown/unknown")
    with pytest.raises(BakeError) as error:
        choose(manifests, descriptor.platform("linux/s390x"), "shop:1")
    assert error.value.hint == "it has linux/amd64, linux/arm/v7"
    with pytest.raises(BakeError) as error:
        choose([Descriptor(media_types.MANIFEST, "x", 1)], Platform("amd64", "linux"), "shop:1")
    assert error.value.hint == "its index names no platform"
