"""Training of networks and prediction with them.

Import what is needed from `training.loop` (train), `training.inference` (predict) and `training.model`
(check_model): they stand apart so that a stage depends on the files that it uses and on no other.
"""

import os

# OpenMP reads this when torch is loaded. Threads that wait by spinning make a step several times slower as
# soon as another process wants one of the cores; results are the same. Whoever has the cores to himself may
# set ACTIVE (two threads: 0.9 s in place of 1.6 s for a step of IFSS-Net in a virtual machine).
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
