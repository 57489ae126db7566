"""Training of networks and prediction with them.

Import what is needed from `training.loop` (train), `training.inference` (predict) and `training.model`
(check_model): they stand apart so that a stage depends on the files that it uses and on no other.
"""

import os

# OpenMP reads this when torch is loaded. Threads that wait by spinning make a step three times slower as
# soon as another process wants one of the cores; results are the same.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
