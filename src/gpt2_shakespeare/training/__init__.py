"""The training loop and what it needs: schedule, optimizers, checkpoints, several processes."""
