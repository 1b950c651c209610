"""The parts of a training run's configuration, a file for each concern; `training.config` puts them together."""
