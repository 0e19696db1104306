"""One thread per test process: on small tensors torch's threads would only fight over the cores."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before anything imports torch
