# Makes template.tar.xz and project.tar.xz in the working folder: bash make.sh CLONE, where CLONE is
# of this repository, at e2a99b8, with the environment that `make setup` made there.
set -euo pipefail
export PATH="$1/.venv/bin:$PATH" DVC_NO_ANALYTICS=1 DO_NOT_TRACK=1 MLFLOW_DISABLE_TELEMETRY=true
git -C "$1" archive e2a99b8 | xz -9e > template.tar.xz
mkdir template
tar -xf template.tar.xz -C template
git() { command git -c user.name=Owner -c user.email=owner@example.com "$@"; }
git -C template init -q
git -C template add -A
git -C template commit -qm "The template"
cruft create --no-input "file://$PWD/template"
cd flight-delays
export PYTHONPATH="$PWD/src"
# What the owner has made of it: few rows, and a first model that is easy to beat.
sed -i '/    return table\[\[/s/$/.iloc[::20]/' src/model/data.py
sed -i 's/max_iter: 100/max_iter: 1/; s/max_leaf_nodes: 15/max_leaf_nodes: 2/
    s/min_samples_leaf: 200/min_samples_leaf: 20/; s/  min_rows: 2000/  min_rows: 500/
    s/floors: { roc_auc: 0.6 }/floors: { roc_auc: 0.5 }/' params.yaml
train() {
    git add -A
    git commit -qm "$1"
    dvc repro
    git add -A
    git commit -qm "$1: trained"
    mlops compare
    mlops report
    mlops register
    mlops promote
}
train "My problem"
sed -i 's/max_iter: 1/max_iter: 10/; s/max_leaf_nodes: 2/max_leaf_nodes: 8/' params.yaml
train "More trees"
mlops drift
mlops drift --record
dvc push
tar -cf - .store params.yaml dvc.lock src/model/data.py | xz -9e > ../project.tar.xz
