"""Lines "path TAB value" from stdin with what no two clusters share replaced (ids, times, chance); JSON in one order of fields."""
import json
import re
import sys

# Which broker of several took a block of producer ids, and how many did, is chance.
BLOCK = {"block_start", "block_end", "broker"}
TIMES, IDS = {"timestamp"}, {"topic_id", "id"}


def normal(value):
    if isinstance(value, dict):
        return {k: "TIME" if k in TIMES else "ID" if k in IDS and isinstance(v, str) else normal(v) for k, v in value.items()}
    return [normal(v) for v in value] if isinstance(value, list) else value


for line in sys.stdin:
    path, _, value = line.rstrip("\n").partition("\t")
    try:
        value = normal(json.loads(value))
        if path == "/latest_producer_id_block":
            value = {k: "CHANCE" if k in BLOCK else v for k, v in value.items()}
        value = json.dumps(value, sort_keys=True)
    except ValueError:
        pass
    print(re.sub(r"config_change_\d+", "config_change_N", path), value)
