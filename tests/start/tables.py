"""Tables of many shapes, made up or scikit-learn's, as files that a person would bring."""

from pathlib import Path

import numpy as np
import pandas as pd
from sklearn import datasets

DAY = pd.Timestamp("2023-01-01")


def subscribers(folder: Path, n: int = 3000) -> Path:
    """Two classes as texts, gaps, a key, a column without values and one without variety."""
    rng = np.random.default_rng(1)
    table = pd.DataFrame(
        {
            "customerID": [f"C{number:05}" for number in rng.permutation(n)],
            "plan": rng.choice(["monthly", "yearly", "none yet"], n),
            "city": rng.choice([f"Town {number}" for number in range(60)], n),
            "months": rng.integers(0, 72, n),
            "paid": rng.normal(60, 20, n).round(2),
            "active": rng.random(n) < 0.5,
            "fax": np.nan,
            "currency": "EUR",
        }
    )
    odds = 1.2 - 0.06 * table.months + 0.02 * (table.paid - 60) + (table.plan == "monthly")
    table["Churned"] = np.where(rng.random(n) < 1 / (1 + np.exp(-odds)), "yes", "no")
    for name, share in (("paid", 0.1), ("plan", 0.05), ("Churned", 0.01)):
        table.loc[rng.random(n) < share, name] = None
    return _csv(table, folder / "subscribers.csv")


def irises(folder: Path) -> Path:
    """Three classes, 150 rows, and a target that is called `target`."""
    return _csv(datasets.load_iris(as_frame=True).frame, folder / "iris.csv")


def rides(folder: Path, n: int = 6000) -> Path:
    """A number to predict, for each hour of eight months."""
    rng = np.random.default_rng(2)
    times = pd.date_range(DAY, periods=n, freq="h").to_series(index=range(n))
    table = pd.DataFrame(
        {
            "datetime": times.dt.strftime("%Y-%m-%d %H:%M:%S"),
            "season": rng.integers(1, 5, n),
            "sky": rng.choice(["clear", "cloudy", "rain"], n),
            "temp": rng.normal(15, 8, n).round(1),
            "humidity": rng.normal(60, 15, n).round(1),
        }
    )
    demand = 100 + 5 * table.temp - table.humidity + 60 * np.sin(times.dt.hour / 24 * 2 * np.pi)
    table["count"] = (demand + rng.normal(0, 20, n)).clip(0).round().astype(int)
    return _csv(table, folder / "rides.csv")


def homes(folder: Path, n: int = 1200) -> Path:
    """Names with spaces, umlauts and quotes, as a German spreadsheet saves them."""
    rng = np.random.default_rng(3)
    table = pd.DataFrame(
        {
            "PLZ": [f"0{number}" for number in rng.integers(1000, 1020, n)],
            "Straße": rng.choice(["Müllerweg", "Königsallee", "Ölgasse"], n),
            "Wohnfläche (m²)": rng.gamma(9, 9, n).round(1),
            "Baujahr": rng.integers(1900, 2020, n),
            "Verkauft am": (DAY + pd.to_timedelta(rng.integers(0, 360, n), "D")).strftime(
                "%d.%m.%Y"
            ),
            'laut "Makler" | it\'s': rng.choice(["a", 'b"c', "d'e", "f|g"], n),
        }
    )
    table["Größe des Preises"] = np.where(
        table["Wohnfläche (m²)"] + table["Baujahr"] - 1960 + rng.normal(0, 20, n) > 80,
        *("über 1 €", "unter 1 €"),
    )
    return _csv(table, folder / "häuser 2023.csv", sep=";", decimal=",", encoding="cp1252")


def reviews(folder: Path, n: int = 2500) -> Path:
    """A free text, with gaps, and a class for it."""
    rng = np.random.default_rng(4)
    words = ["good", "bad", "Great", "awful", "slow", "Größe", "naïve", "it's", "10", "a"]
    text = [f"{' '.join(rng.choice(words, rng.integers(3, 15)))}!" for _ in range(n)]
    table = pd.DataFrame({"text": text, "stars": rng.integers(1, 6, n)})
    mood = table.text.str.count("good|Great") - table.text.str.count("bad|awful")
    table["label"] = np.where(mood + rng.normal(0, 1, n) > 0, "pos", "neg")
    table.loc[::40, "text"] = None
    return _csv(table, folder / "reviews.csv")


def visits(folder: Path, n: int = 2500) -> Path:
    """Parquet with types of its own; several rows for each patient, and two times."""
    rng = np.random.default_rng(5)
    patients = rng.integers(1000, 1300, n)
    table = pd.DataFrame(
        {
            "patient_id": patients,
            "seen_at": pd.Series(
                DAY + pd.to_timedelta(rng.integers(0, 5000, n), "h")
            ).dt.tz_localize("UTC"),
            "referred_on": pd.Series(DAY - pd.to_timedelta(rng.integers(0, 500, n), "D")),
            "ward": pd.Categorical(rng.choice(["A", "B", "C"], n)),
            "pulse": pd.array(rng.integers(50, 120, n), "Int32"),
            "fever": rng.random(n) < 0.3,
            "score": rng.integers(20, 100, n).astype("int8"),
        }
    )
    table.loc[::30, ["pulse", "referred_on"]] = None
    odds = (table.pulse.astype(float).fillna(80) - 85) / 10 + table.fever
    table["again"] = pd.array(rng.random(n) < 1 / (1 + np.exp(-odds)), "boolean")
    table.loc[:20, "again"] = None
    table.to_parquet(folder / "visits.parquet", index=False)
    return folder / "visits.parquet"


def patients(folder: Path) -> Path:
    """How far an illness went within a year, for 442 people."""
    return _csv(datasets.load_diabetes(as_frame=True).frame, folder / "patients.csv")


def wines() -> pd.DataFrame:
    """Three classes of 178 wines, for a database."""
    return pd.DataFrame(datasets.load_wine(as_frame=True).frame)


def _csv(table: pd.DataFrame, path: Path, **options: str) -> Path:
    table.to_csv(path, index=False, **options)
    return path
