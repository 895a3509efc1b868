"""From a configured model to a trained one: loop, step, state and optimisation in plain PyTorch."""
