"""What the model learns to predict: functions from a batch as stored to a batch as learned from."""
