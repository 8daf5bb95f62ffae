"""What others write (titles, names of branches, data, parameters) is shown, and never acts."""

from comment import assert_harmless
from hosted import JUNE, Hosted

TEXT = "`touch pwned` $(touch pwned) ${{ github.token }} <img src=x onerror=alert(1)> @everyone |"
BRANCH = "a`touch${IFS}pwned`$(touch${IFS}pwned)-${{github.token}}"
CARRIER = f"""
    summer = table["time_hour"].dt.month.between(6, 7)
    table.loc[summer & (table["carrier"] == "UA"), "carrier"] = {TEXT!r}
"""


def test_hostile_text_is_only_text(hosted: Hosted) -> None:
    hosted.branch(BRANCH)
    project = hosted.project
    project.set(data__window=JUNE, estimator__note=f"{TEXT}\n::error::pwned", gate__margin=0.006)
    hosted.change_data(CARRIER)
    project.replace("src/model/features.py", "CARRIERS = (", f"CARRIERS = (\n    {TEXT!r},")
    project.replace(
        "src/model/estimator.py", "    seed: int,\n", '    seed: int,\n    note: str = "",\n'
    )
    hosted.commit(f"{TEXT}\n\n::error::pwned")
    hosted.github.push(project.folder, BRANCH)
    pull = hosted.github.open_pull_request(BRANCH, TEXT, f"{TEXT}\n::error::pwned")

    (run,) = pull.runs
    assert {name: job.conclusion for name, job in run.jobs.items()} == {
        "train": "success",
        "comment": "success",
        "model gate": "success",
    }
    (written,) = hosted.github.comments(pull.number)
    body = written["body"]
    rows = [line for line in body.splitlines() if "touch pwned" in line and "carrier" in line]
    assert rows, "the category has slices of its own"
    assert "estimator.note" in body
    report, _, ours = body.rpartition("\n\n<sub>Judged at commit ")
    assert_harmless(report)
    assert ours.count("](https://github.com/octo/flight-delays/actions/runs/") == 1
    assert not list(hosted.folder.rglob("pwned"))
    assert not [note for note in run.annotations if "pwned" in note.message]
    assert "ghs_" not in run.log + body
