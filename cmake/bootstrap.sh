# shellcheck shell=sh
# To be sourced by a POSIX shell in the repository's root: `. cmake/bootstrap.sh`, then
#
#   bootstrap [tests] [PACKAGE...]
#
# sees to it that manyhands can be built here, with `tests` also its tests, and that the Debian packages named are installed. On Debian and Ubuntu it
# installs what is missing, and says what; elsewhere it says what to install and ends the script. It changes nothing that is there: least of all Boost,
# of which two versions cannot be installed side by side. CXX, where set, names the compiler; where not, and g++ is older than 12, it is set to a newer one.

bootstrap() {
  missing=
  command -v g++ >/dev/null || missing="$missing g++" # clang++ too needs its standard library
  command -v cmake >/dev/null || missing="$missing cmake"
  command -v ninja >/dev/null || missing="$missing ninja-build"
  command -v pkg-config >/dev/null || missing="$missing pkg-config"
  bootstrap_has_header hwloc.h || missing="$missing libhwloc-dev"
  bootstrap_has_header boost/version.hpp || missing="$missing BOOST"
  case "${CXX:-g++}" in
    g++-[0-9]*) command -v "$CXX" >/dev/null || missing="$missing $CXX" ;;
    clang++*) command -v "$CXX" >/dev/null || missing="$missing clang${CXX#clang++}" ;;
  esac
  for argument in "$@"; do
    case "$argument" in
      tests)
        bootstrap_has_header catch2/catch.hpp || bootstrap_has_header catch2/catch_all.hpp || missing="$missing catch2"
        # Where apt has no such package the tests with it say that they are skipped.
        for package in libopenblas0-pthread openmpi-bin libopenmpi-dev; do
          ! command -v apt-get >/dev/null || dpkg -s "$package" >/dev/null 2>&1 || missing="$missing $package"
        done
        ;;
      *) dpkg -s "$argument" >/dev/null 2>&1 || missing="$missing $argument" ;;
    esac
  done
  bootstrap_install "$missing"

  if [ -z "${CXX:-}" ] && bootstrap_version=$(g++ -dumpversion) && [ "${bootstrap_version%%.*}" -lt 12 ]; then
    for CXX in g++-14 g++-13 g++-12; do
      ! command -v "$CXX" >/dev/null || break
    done
    command -v "$CXX" >/dev/null || bootstrap_install "$CXX"
    export CXX
    echo "g++ is version $bootstrap_version, older than manyhands needs: using $CXX"
  fi
}

# By its path below the usual folders, or where the compiler looks.
bootstrap_has_header() {
  for folder in /usr/include /usr/local/include; do
    [ ! -e "$folder/$1" ] || return 0
  done
  command -v g++ >/dev/null && echo "#include <$1>" | g++ -E -x c++ - >/dev/null 2>&1
}

bootstrap_install() {
  [ -n "$1" ] || return 0

  if ! command -v apt-get >/dev/null; then
    {
      echo "This system lacks what manyhands needs, and only on Debian and Ubuntu can it be installed from here. Please install:"
      for package in $1; do
        case "$package" in
          g++*) echo "  a C++20 compiler: g++ 12 or later" ;;
          clang*) echo "  $package: clang 14 or later" ;;
          cmake) echo "  CMake 3.22 or later" ;;
          ninja-build) echo "  Ninja" ;;
          pkg-config) echo "  pkg-config" ;;
          libhwloc-dev) echo "  hwloc 2.0 or later, with its headers" ;;
          BOOST) echo "  Boost 1.74 or later, with its headers and CMake files" ;;
          catch2) echo "  Catch2 2.13 or later" ;;
          *) echo "  $package" ;;
        esac
      done
    } >&2
    exit 1
  fi

  sudo=
  if [ "$(id -u)" != 0 ]; then
    sudo=sudo
    if ! command -v sudo >/dev/null; then
      echo "These packages are missing, and only root can install them:$1 (BOOST: libboost-dev)" >&2
      exit 1
    fi
  fi
  $sudo apt-get update -qq
  packages=
  for package in $1; do
    if [ "$package" = BOOST ]; then
      package=libboost-dev
      # `apt-cache show` knows packages that nobody offers any more.
      if apt-cache policy libboost1.81-dev | grep -q 'Candidate: [0-9]'; then package=libboost1.81-dev; fi
    fi
    packages="$packages $package"
  done
  echo "installing:$packages"
  # shellcheck disable=SC2086
  $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends --no-remove $packages
}
