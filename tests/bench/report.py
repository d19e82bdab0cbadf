"""One table on one screen from the samples of a run."""
import json
import statistics

import client_rows
import endurance
import request_rows
import state_rows

ROWS = request_rows.ROWS + client_rows.ROWS + state_rows.ROWS + endurance.ROWS


def load(paths):
    """The samples of a run, or of several; the same pair of two runs is not one pair."""
    samples = []
    for part, path in enumerate(paths):
        with open(path, encoding="utf-8") as file:
            samples += [dict(json.loads(line), part=part) for line in file]
    return samples


def values_of(samples, row, system):
    """By pair; a pair whose block failed its check has none."""
    return {(sample.get("part", 0), sample["pair"]): sample["value"] for sample in samples
            if sample.get("row") == row and sample.get("system") == system and sample.get("is_kept")
            and "failure" not in sample}


def short(value):
    if value is None:
        return "-"
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def spread(numbers):
    if not numbers:
        return "-"
    return f"{statistics.median(numbers):.2f} [{min(numbers):.2f}..{max(numbers):.2f}]"


def middle(numbers):
    return statistics.median(numbers) if numbers else None


def ratios(over, under):
    return [over[pair] / under[pair] for pair in sorted(over) if pair in under and under[pair] > 0]


def agree(holds, numbers):
    """The median, and all pairs but one."""
    return holds(statistics.median(numbers)) and sum(map(holds, numbers)) >= len(numbers) - (len(numbers) > 1)


def verdict(row, of_floor, of_apache, ours):
    judged = []
    if row.get("goal_value") is not None and ours:
        judged.append(agree(lambda value: value <= row["goal_value"], ours))
    if row.get("goal_floor") and of_floor:
        judged.append(agree(lambda ratio: ratio <= row["goal_floor"], of_floor))
    if row.get("goal_apache") and of_apache:
        judged.append(agree(lambda ratio: ratio >= row["goal_apache"], of_apache))
    return "-" if not judged else "met" if all(judged) else "NOT MET"


def goal_of(row):
    if row.get("goal_value") is not None:
        return short(row["goal_value"])
    return f"{row['goal_floor']}x" if row.get("goal_floor") else "-"


def markdown(samples):
    """The same for a README: a ratio stands with its spread and its goal in one cell, a row with the group to ask for."""
    lines = ["| row (group of `--rows`) | ours | / floor [spread], goal | Apache / ours [spread], goal | |", "| --- | --- | --- | --- | --- |"]
    group = None
    for row in ROWS:
        ours, floor, apache = (values_of(samples, row["name"], name) for name in ("ours", "floor", "apache"))
        if not ours:
            continue
        of_floor, of_apache = ratios(ours, floor), ratios(apache, ours)
        title = row["title"] if row["group"] == group else f"{row['title']} (`{row['group']}`)"
        group = row["group"]
        goal = f", {goal_of(row)}" if row.get("goal_floor") else ""
        value = f"{short(middle(list(ours.values())))} {row['unit']}"
        value += f", goal {short(row['goal_value'])}" if row.get("goal_value") is not None else ""
        lines.append(f"| {title} | {value} | {spread(of_floor) + goal if of_floor else '-'} | "
                     f"{spread(of_apache) if of_apache else '-'}{', ' + str(row['goal_apache']) + 'x' if row.get('goal_apache') else ''} | "
                     f"{verdict(row, of_floor, of_apache, list(ours.values()))} |")
    return "\n".join(lines)


def table(samples):
    head = ("row", "unit", "ours", "floor", "ours / floor", "goal", "Apache", "Apache / ours", "goal", "")
    lines = [head]
    for row in ROWS:
        ours, floor, apache = (values_of(samples, row["name"], name) for name in ("ours", "floor", "apache"))
        failures = [sample for sample in samples if sample.get("row") == row["name"] and "failure" in sample]
        if not ours and not failures:
            continue
        of_floor, of_apache = ratios(ours, floor), ratios(apache, ours)
        refused = f", {len(failures)} refused" if failures else ""
        lines.append((row["title"], row["unit"], short(middle(list(ours.values()))), short(middle(list(floor.values()))),
                      spread(of_floor), goal_of(row), short(middle(list(apache.values()))), spread(of_apache),
                      f"{row['goal_apache']}x" if row.get("goal_apache") else "-",
                      verdict(row, of_floor, of_apache, list(ours.values())) + refused))
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    text = "\n".join("  ".join(word.ljust(width) for word, width in zip(line, widths)).rstrip() for line in lines)
    kept = [sample for sample in samples if sample.get("is_kept")]
    noisy = sum(bool(sample.get("is_noisy")) for sample in kept)
    minutes = sum(sample.get("took", 0) for sample in samples) / 60
    return f"{text}\n{len(kept)} blocks in {minutes:.0f} min, {noisy} of them beside noise that three tries did not avoid"
