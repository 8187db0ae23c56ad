#!/bin/sh
# Builds Flux's kustomize-controller once into the user's cache directory, beside the control plane and under a key of its
# own, and prints that directory on stdout: `bin/kustomize-controller` and `crds/`, its definitions. Progress goes to
# stderr. When the directory is there, nothing is done.
#
#   build.sh             build what is missing, print the directory
#   build.sh --print-dir print the directory only, whether it is there or not
set -eu

here=$(cd "$(dirname "$0")" && pwd)
cd "$here"

module=github.com/fluxcd/kustomize-controller
version=$(sed -n "s|^[[:space:]]*$module \(v[0-9.]*\).*|\1|p" go.mod | head -n 1)
ldflags="-s -w -X main.VERSION=$version"

# Static: no C compiler is needed and the result does not depend on the machine's libc.
export CGO_ENABLED=0
# The pinned go.sum decides; nothing is resolved anew, and the version stamp does not depend on the checkout.
export GOFLAGS="-mod=readonly -buildvcs=false"

platform="$(uname -s)-$(uname -m)"
key=$({ cat go.mod go.sum; printf '%s\n' "$ldflags" "$platform" "layout 1"; } | sha256sum | cut -c1-16)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/placet/flux
dir=$cache/$key

if [ "${1:-}" = "--print-dir" ] || [ -e "$dir/complete" ]; then
    printf '%s\n' "$dir"
    exit 0
fi

say() { printf 'flux: %s\n' "$*" >&2; }

command -v go >/dev/null 2>&1 || {
    say "Go is needed to build it and was not found in PATH; install Go $(sed -n 's/^go //p' go.mod) or later"
    exit 1
}
mkdir -p "$cache"
# Two test binaries may ask at once: the second waits for the first and finds the work done.
exec 9>"$cache/lock"
if ! flock -n 9; then
    say "another process is building it; waiting"
    flock 9
fi
if [ -e "$dir/complete" ]; then
    printf '%s\n' "$dir"
    exit 0
fi

new=$(mktemp -d "$cache/new.XXXXXX")
trap 'rm -rf "$new"' EXIT
trap 'exit 130' INT TERM HUP

say "building kustomize-controller $version (once per machine; about 4 minutes on 2 cores)"

# Module proxies fail now and then. Five tries with growing pauses cover a minute of trouble.
try=1
until go mod download >&2; do
    [ "$try" -lt 5 ] || { say "could not download the modules after $try tries; see the message above"; exit 1; }
    say "download failed, try $((try + 1)) of 5 follows"
    sleep $((try * 5))
    try=$((try + 1))
done

total=$(go list -deps tool | wc -l)
mkdir "$new/bin"
# `-v` names each package as it is compiled; a line for each 200th is enough to see that it goes on.
{ go build -v -trimpath -ldflags "$ldflags" -o "$new/bin/" tool 2>&1 || echo "go build failed"; } | awk -v total="$total" '
    /^[a-zA-Z0-9_.\/~-]+$/ { n++; if (n % 200 == 0) { printf "flux: %d of at most %d packages compiled\n", n, total; fflush() } next }
    { print; fflush() }' >&2
[ -x "$new/bin/kustomize-controller" ] || { say "kustomize-controller was not built; see the messages above"; exit 1; }

# Its definitions lie in its module.
source=$(go list -m -f '{{.Dir}}' "$module")
mkdir "$new/crds"
cp "$source"/config/crd/bases/*.yaml "$new/crds/"
chmod -R u+w "$new/crds"

printf '%s\n' "$version" >"$new/complete"
rm -rf "$dir"
mv "$new" "$dir"
trap - EXIT
say "ready in $dir"
printf '%s\n' "$dir"
