"""Flow matching: timesteps, loss, solvers and guidance."""
