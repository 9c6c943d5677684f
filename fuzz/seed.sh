#!/usr/bin/env bash
# Fills fuzz/corpus/TARGET with the files that the tests of the readers use: good ones and hostile ones.
set -euo pipefail
cd "$(dirname "$0")/.."

data=crates/pefomed-data/tests model=crates/pefomed-model/tests

# seed TARGET FILE…: copies under a name that tells equal files apart.
seed() {
    local target=$1 file
    shift
    mkdir -p "fuzz/corpus/$target"
    for file in "$@"; do
        [ -f "$file" ] || continue
        [ "$(stat -c %s "$file")" -le 262144 ] || continue
        cp "$file" "fuzz/corpus/$target/$(sha256sum "$file" | cut -c1-16)"
    done
}

# found PATTERN FOLDER…: files by the end of their names.
found() {
    local pattern=$1
    shift
    find "$@" -type f -name "$pattern" 2>/dev/null
}

mapfile -t images < <(found '*.png' $data; found '*.jpg' $data; found '*.jpeg' $data)
mapfile -t dicom < <(found '*.dcm' $data)
mapfile -t nifti < <(found '*.nii' $data; found '*.nii.gz' $data)
mapfile -t json < <(found '*.json' $data/fixtures/datasets $data/hostile; found '*.jsonl' $data; found '*.jsonl.gz' $data)
mapfile -t tables < <(found '*.csv' $data; found '*.tsv' $data; found '*.csv.gz' $data; found '*.txt' $data)
mapfile -t xml < <(found '*.xml' $data)
mapfile -t pickles < <(found '*.pkl' $data)
mapfile -t parquet < <(found '*.parquet' $data)
mapfile -t safetensors < <(found '*.safetensors' $model)
mapfile -t gguf < <(found '*.gguf' $model)
mapfile -t torch < <(found '*.pth' $model; found '*.bin' $model/fixtures/torch)
mapfile -t sentencepiece < <(found '*.model' $data)

seed picture "${images[@]}"
seed dicom "${dicom[@]}"
seed nifti "${nifti[@]}"
seed json_rows "${json[@]}"
seed tables "${tables[@]}"
seed openi_xml "${xml[@]}"
seed pickle "${pickles[@]}"
seed parquet "${parquet[@]}"
seed safetensors "${safetensors[@]}"
seed gguf "${gguf[@]}"
seed torch "${torch[@]}"
seed sentencepiece "${sentencepiece[@]}"

# The pickles inside of the archives.
mkdir -p fuzz/corpus/torch_pickle
for file in "${torch[@]}"; do
    name=$(unzip -Z1 "$file" 2>/dev/null | grep '/data.pkl$' | head -1 || true)
    [ -n "$name" ] || continue
    unzip -p "$file" "$name" > "fuzz/corpus/torch_pickle/$(sha256sum "$file" | cut -c1-16)" 2>/dev/null || true
done

for folder in fuzz/corpus/*/; do
    echo "$(basename "$folder"): $(find "$folder" -type f | wc -l) files"
done
