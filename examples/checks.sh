# What the verify scripts of the examples share. To be sourced; each script sets `set -euo pipefail`.

work=$(mktemp -d "${TMPDIR:-/tmp}/imgbake-example.XXXXXX")
containers=()

clean_up() {
    [[ ${#containers[@]} == 0 ]] || docker rm --force "${containers[@]}" >/dev/null
    rm -rf "$work"
}
trap clean_up EXIT

say() { printf -- '-- %s\n' "$*"; }

die() {
    printf 'verify: %s\n' "$*" >&2
    exit 1
}

# Is this tool here? One that is missing is said, and an error where all are required.
have() {
    command -v "$1" >/dev/null && return
    [[ -z ${IMGBAKE_REQUIRE_SERVICES:-} ]] || die "$1 is not installed, and IMGBAKE_REQUIRE_SERVICES is set"
    say "not checked, for lack of $1: $2"
    return 1
}

have_docker() {
    have docker "$1" || return 1
    docker info >/dev/null 2>&1 && return
    [[ -z ${IMGBAKE_REQUIRE_SERVICES:-} ]] || die "no docker engine answers, and IMGBAKE_REQUIRE_SERVICES is set"
    say "not checked, for lack of a docker engine: $1"
    return 1
}

# accepted NAME: an image that was built is one that skopeo and umoci can read.
accepted() {
    local layout=$work/${1//[^a-z0-9-]/-}
    imgbake export "$1" -o "$layout" --format oci >/dev/null
    if have skopeo "that skopeo reads $1"; then
        skopeo inspect "oci:$layout" >/dev/null
        say "skopeo reads $1"
    fi
    if have umoci "that umoci unpacks $1"; then
        local tag
        tag=$(umoci list --layout "$layout" | head -n 1)
        umoci unpack --rootless --image "$layout:$tag" "$layout.unpacked" >/dev/null 2>&1
        say "umoci unpacks $1"
    fi
}

# loaded NAME: puts an image that was built into the docker engine. Sets `image` to its id.
loaded() {
    local archive=$work/${1//[^a-z0-9-]/-}.tar
    imgbake export "$1" -o "$archive" --format docker-archive >/dev/null
    image=$(docker load --quiet --input "$archive" | sed -n 's/^Loaded image\( ID\)\?: //p')
    say "docker loads $1 as $image"
}

# started ARGUMENTS...: runs a container in the background. Sets `container` to its id.
started() {
    container=$(docker run --detach --network none "$@")
    containers+=("$container")
}

# eventually COMMAND...: tries a command until it succeeds, for a minute at most.
eventually() {
    local tries
    for tries in {1..300}; do
        "$@" 2>/dev/null && return
        sleep 0.2
    done
    docker logs "$container" >&2 || true
    die "after $tries tries this still fails: $*"
}
