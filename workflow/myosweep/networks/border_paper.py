"""How the paper on distinct and completed borders trains (Gonzalez Duque et al., IPCAI 2024).

Thesis (2024), part III, 2.3: Adam at 1e-3, halved every ten epochs, to convergence; patches of 96 voxels. Its
batches hold two cases, ours one.
"""

from __future__ import annotations

from typing import Any

BORDER_TRAINING: dict[str, Any] = {
    "patch": (96, 96, 96),
    "optimizer": "adam",
    "learning_rate": 1e-3,
    "weight_decay": 0.0,
    "schedule": "step",
    "step_epochs": 10,
    "step_factor": 0.5,
    "warmup_epochs": 0,
    "averaging": 0.0,
}
