"""Options of runs, as nested as their configuration, laid flat and compared."""

from collections.abc import Mapping, Sequence

# Where a run lies and how it was started says nothing of what it is.
PLACES = ("run_dir", "resume", "overwrite", "quickstart")


def flatten(tree: object, prefix: str = "") -> dict[str, object]:
    """Turn {"a": {"b": 1}} into {"a.b": 1}."""
    if not isinstance(tree, Mapping):
        return {prefix[:-1]: tree}
    flat: dict[str, object] = {}
    for key, value in tree.items():
        flat |= flatten(value, f"{prefix}{key}.")
    return flat


def differing(configs: Sequence[Mapping[str, object]]) -> dict[str, list[object]]:
    """Return the options in which configurations differ, with the value of each (None: absent)."""
    flat = [flatten(config) for config in configs]
    keys = sorted({key for options in flat for key in options if key})
    table = {key: [options.get(key) for options in flat] for key in keys}
    return {
        key: values
        for key, values in table.items()
        if key.split(".")[0] not in PLACES and any(value != values[0] for value in values)
    }
