"""A process that compares the contours of one patient after the other: `python -m rt4d.agreement.cohort_worker`.

It is given a PatientJob a line, as JSON, and answers each pair with a line of its own, and a patient's end with an empty object.
"""

from __future__ import annotations

import json
import sys

from rt4d.agreement.cohort_pairs import PatientJob, compared


def main() -> None:
    """Work until the input ends."""
    answer = sys.stdout
    sys.stdout = sys.stderr  # what a library prints is no answer
    for line in sys.stdin:
        for row in compared(PatientJob.from_dict(json.loads(line))):
            answer.write(json.dumps(row) + "\n")
            answer.flush()
        answer.write("{}\n")
        answer.flush()


if __name__ == "__main__":
    main()
