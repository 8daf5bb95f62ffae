"""Restore a cache; actions/cache begins with this, actions/cache/restore is only this."""

from caches import find, restore
from toolkit import fail, given, is_true, lines, save_state, set_output

key = given("key")
save_state("key", key)
set_output("cache-primary-key", key)
hit = find([key, *lines("restore-keys")])
if hit is None:
    print(f"Cache not found for input keys: {', '.join([key, *lines('restore-keys')])}")
    if is_true("fail-on-cache-miss"):
        fail(f"Failed to restore cache entry. Input key: {key}")
else:
    matched, archive = hit
    if not is_true("lookup-only"):
        restore(archive)
    save_state("matched", matched)
    set_output("cache-hit", "true" if matched == key else "false")
    set_output("cache-matched-key", matched)
    print(f"Cache restored from key: {matched}")
