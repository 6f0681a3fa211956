"""`python -m call_job JOB TOKEN ANSWER`: call a pickled job, as launchers do on another machine.

JOB and ANSWER are files: what `remote_job` made, and the report.
"""

from __future__ import annotations

import pickle
import sys
from pathlib import Path
from types import SimpleNamespace

job, token, answer = sys.argv[1:]
report = pickle.loads(Path(job).read_bytes())(SimpleNamespace(job=token))
Path(answer).write_bytes(pickle.dumps(report))
