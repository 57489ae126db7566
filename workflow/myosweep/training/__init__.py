"""Training of networks and prediction with them.

Import what is needed from `training.loop` (train), `training.inference` (predict) and `training.model`
(check_model): they stand apart so that a stage depends on the files that it uses and on no other.
"""
