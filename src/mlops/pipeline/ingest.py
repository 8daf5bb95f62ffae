"""Stage ``ingest``: what ``load_data`` returns, as one Parquet file."""

from mlops.project import files
from mlops.project.progress import working


def run() -> None:
    """Write the raw table to ``data/raw.parquet``."""
    from model import load_data

    with working("Loading the raw data"):
        table = load_data()
    files.write_atomic(files.RAW, lambda path: table.to_parquet(path, index=False))
    print(f"{files.RAW}: {len(table):,} rows, {len(table.columns)} columns")
