#!/bin/sh
# Builds the tools of this module (etcd, kube-apiserver, kube-controller-manager, kube-scheduler, kubectl, kwok, helm)
# once into the user's cache directory and prints that directory on stdout. Progress goes to stderr. The directory is
# named by the hash of everything that the binaries depend on; when it is there, nothing is done.
#
#   build.sh             build what is missing, print the directory
#   build.sh --print-dir print the directory only, whether it is there or not
set -eu

here=$(cd "$(dirname "$0")" && pwd)
cd "$here"

# Kubernetes' own version, for `-X`: without it the server calls itself v0.0.0-master and no client can parse it.
version=$(sed -n 's|^[[:space:]]*k8s.io/kubernetes \(v[0-9.]*\).*|\1|p' go.mod | head -n 1)
minor=$(printf '%s' "$version" | cut -d. -f2)
stamp=k8s.io/component-base/version
ldflags="-s -w -X $stamp.gitVersion=$version -X $stamp.gitMajor=1 -X $stamp.gitMinor=$minor -X $stamp.gitTreeState=clean"
stages="node/fast node/heartbeat-with-lease pod/fast"

# Static binaries: no C compiler is needed and the result does not depend on the machine's libc.
export CGO_ENABLED=0
# The pinned go.sum decides; nothing is resolved anew, and the version stamp does not depend on the checkout.
export GOFLAGS="-mod=readonly -buildvcs=false"

platform="$(uname -s)-$(uname -m)"
key=$({ cat go.mod go.sum; printf '%s\n' "$ldflags" "$stages" "$platform" "layout 1"; } | sha256sum | cut -c1-16)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/placet/controlplane
dir=$cache/$key

if [ "${1:-}" = "--print-dir" ]; then
    printf '%s\n' "$dir"
    exit 0
fi
if [ -e "$dir/complete" ]; then
    printf '%s\n' "$dir"
    exit 0
fi

say() { printf 'control plane: %s\n' "$*" >&2; }

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

say "building Kubernetes $version and its tools (once per machine; about 6 minutes on 2 cores)"

# Module proxies fail now and then. Five tries with growing pauses cover a minute of trouble.
try=1
until go mod download >&2; do
    [ "$try" -lt 5 ] || { say "could not download the modules after $try tries; see the message above"; exit 1; }
    say "download failed, try $((try + 1)) of 5 follows"
    sleep $((try * 5))
    try=$((try + 1))
done
say "modules downloaded"

total=$(go list -deps tool | wc -l)
mkdir "$new/bin"
# `-v` names each package as it is compiled; a line for each 200th is enough to see that it goes on.
{ go build -v -trimpath -ldflags "$ldflags" -o "$new/bin/" tool 2>&1 || echo "go build failed"; } | awk -v total="$total" '
    /^[a-zA-Z0-9_.\/~-]+$/ { n++; if (n % 200 == 0) { printf "control plane: %d of at most %d packages compiled\n", n, total; fflush() } next }
    { print; fflush() }' >&2
for tool in server kube-apiserver kube-controller-manager kube-scheduler kubectl kwok helm; do
    [ -x "$new/bin/$tool" ] || { say "$tool was not built; see the messages above"; exit 1; }
done
mv "$new/bin/server" "$new/bin/etcd"

# KWOK ends with "no stages found" without these; they lie in its module.
kwok=$(go list -m -f '{{.Dir}}' sigs.k8s.io/kwok)
mkdir "$new/stages"
for stage in $stages; do
    name=$(printf '%s' "$stage" | tr / -)
    for file in "$kwok/kustomize/stage/$stage"/*.yaml; do
        case $(basename "$file") in kustomization.yaml) continue ;; esac
        printf -- '---\n' >>"$new/stages/$name.yaml"
        cat "$file" >>"$new/stages/$name.yaml"
    done
done
chmod -R u+w "$new/stages"

printf '%s\n' "$version" >"$new/complete"
rm -rf "$dir"
mv "$new" "$dir"
trap - EXIT
say "ready in $dir"
printf '%s\n' "$dir"
