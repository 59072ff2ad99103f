"""What `import holdfast` costs, as a ratio to importing pluggy and pydantic alone.

    python benchmarks/bench_import.py [--rounds 25] [--json]

Each import is a fresh process; the time of an empty one is subtracted from all.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time

PROGRAMS = {
    "nothing": "pass",
    "pluggy and pydantic": "import pluggy, pydantic",
    "pluggy and pydantic.BaseModel": "import pluggy; from pydantic import BaseModel",
    "holdfast": "import holdfast",
    "holdfast.connect": "from holdfast import connect",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=25, help="processes of each kind")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    times: dict[str, list[float]] = {name: [] for name in PROGRAMS}
    for _ in range(options.rounds + 1):
        for name, program in PROGRAMS.items():
            begin = time.perf_counter()
            subprocess.run([sys.executable, "-c", program], check=True)
            times[name].append(time.perf_counter() - begin)
    # The first round fills the caches of the disk.
    medians = {name: statistics.median(measured[1:]) for name, measured in times.items()}
    own = {name: (seconds - medians["nothing"]) for name, seconds in medians.items()}
    results = {
        **{f"{name} (ms)": seconds * 1e3 for name, seconds in own.items()},
        "ratio: holdfast / pluggy and pydantic": own["holdfast"] / own["pluggy and pydantic"],
        "ratio: holdfast.connect / pluggy and pydantic.BaseModel": own["holdfast.connect"]
        / own["pluggy and pydantic.BaseModel"],
    }
    if options.json:
        print(json.dumps(results))
        return
    for name, value in results.items():
        print(f"{name:60} {value:10.2f}")


if __name__ == "__main__":
    main()
