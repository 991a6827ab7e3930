"""The training loop and its parts: plan, step, state, checkpoints, several processes."""
