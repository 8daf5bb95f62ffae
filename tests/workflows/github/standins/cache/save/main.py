"""Save a cache; actions/cache ends with this if the job succeeded, actions/cache/save is this."""

from caches import save
from toolkit import given, state

key = state("key") or given("key")
if state("matched") == key:
    print(f"Cache hit occurred on the primary key {key}, not saving cache.")
elif refusal := save(key):
    print(f"[warning]{refusal}")  # the real one makes no annotation of it, either
else:
    print(f"Cache saved with key: {key}")
