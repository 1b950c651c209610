"""What every command needs: configuration, errors, exit codes, logs."""
